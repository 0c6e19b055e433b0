"""The application: an uploaded file of incidents becomes one item with its prediction, and a page that shows it.

`intake` takes files in, `handler` and `processing` turn an event into a result, `worker` and `sweeper` see that
each is handled, `web` shows what there is. It knows the database only as a DynamoDB endpoint behind boto3.
"""
