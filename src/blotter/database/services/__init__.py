"""The AWS services that answer on the one port.

`dispatch` chooses the service of a request; `table` lists the services of a server. DynamoDB and DynamoDB
Streams are answered by the pipeline (`dynamodb`), every other service by `api.ApiService`: a registry of
operations, a compiled model (`models/`, made by scripts/compile_service_model.py) and the protocols that the
model names (`protocols/`). Read `dispatch` first, then `api`. A new service is one entry in `table`, one in the
script, and a package like `sts`.
"""
