"""The set-up: brings tables on any DynamoDB endpoint to what blotter.toml declares. Begin with `apply`.

`declaration` is what is wanted, `observed` what the endpoint shows, `plan` what lies between the two; `aspects` is
the table of the settings that can be declared. It keeps no state and reaches the database only through boto3, as
any endpoint.
"""
