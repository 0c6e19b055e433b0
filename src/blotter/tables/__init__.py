"""The set-up: brings tables on any DynamoDB endpoint to what blotter.toml declares. Begin in `applying`.

`declaring` is what is wanted, `planning` what the endpoint shows and what lies between the two; `aspects` in it is
the table of the settings that can be declared. `calls` reaches the endpoint, `output` the user. It keeps no state
and reaches the database only through boto3, as any endpoint.
"""
