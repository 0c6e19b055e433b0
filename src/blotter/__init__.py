"""Blotter: the DynamoDB results table of a serverless application, with everything around it.

`blotter.database` is the database, `blotter.tables` the set-up of tables on any DynamoDB endpoint,
`blotter.crimes` the application whose results the table holds. The last two reach tables through boto3
only and never import the first.
"""

__version__ = "0.1.0"
"""The one place of the version number; the package's metadata reads it from here."""
