"""The application: an uploaded file of incidents becomes one item with its predictions, and a page that shows it.

`intake` stores uploads, `handler` and `processing` turn an event into a result, `worker` and `sweeper` make sure
that every upload is processed, `web` shows the results. The database is only reached as a DynamoDB endpoint,
through boto3.

Where to begin: `processing.py` for the life of a file, `scoring.py` for what happens to its rows, `item.py` for
what is stored. Every write of a result item goes through `ResultsTable._write`.
"""
