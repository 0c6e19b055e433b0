"""The application: an uploaded file of incidents becomes one item with its predictions, and a page that shows it.

`jobs` is the work on one file: stored by `intake`, turned into a result by `processing`, and `worker` and
`sweeper` make sure that every upload is processed (on AWS, `handler` is called instead). `reading`, `learning` and
`scoring` are what happens to its rows, `storage` keeps objects and results, `web` shows them. The database is only
reached as a DynamoDB endpoint, through boto3.

Where to begin: `jobs/processing.py` for the life of a file, `scoring/scoring.py` for its rows, `item.py` for what
is stored. Every write of a result item goes through `ResultsTable._write`.
"""
