"""`blotter import`: a local file into a table, or objects in S3 into a new one, on any DynamoDB endpoint.

`files` reads rows, `types` finds out what their values are, `writing` puts them, `from_s3` starts an import that
the endpoint does by itself. Everything goes through boto3; nothing here imports the database.
"""
