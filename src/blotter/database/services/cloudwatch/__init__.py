"""CloudWatch on the port: metrics, metric math and metric alarms.

Read `registry` first: which operation does what, and what it is authorized on. Expressions and statistics are in
`metric_math`, alarms in `alarms`, points in `metrics` of `blotter.database`; here is the API
around them: inputs, AWS's words for what is wrong with them, outputs and pages.
"""
