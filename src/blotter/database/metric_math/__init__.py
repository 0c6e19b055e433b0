"""CloudWatch's metric math and statistics, pure: expressions, statistics of samples, periods.

Read `expressions` (text into a tree), then `evaluation` (a tree and time series into a time series) and
`functions`. `statistics` computes what "Average" or "p99" says of the samples of a period, `periods` knows which
periods there are and where they begin. Alarms and GetMetricData share all of it. Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""
