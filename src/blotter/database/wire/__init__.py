"""Between bodies of JSON and typed requests, by the service model. It is independent of tables and expressions.

`decode` is the way in, at two speeds; `requests` and `service_model.json` are generated from AWS's own model by
scripts/compile_service_model.py; `encode` makes the bodies of errors.
"""
