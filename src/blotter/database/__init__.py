"""The database: DynamoDB's wire protocol over files of its own. `pipeline` is where to start reading.

One room for each stage of a request; `server` and `supervisor` run them in processes. It knows nothing of the
set-up (`blotter.tables`) and of the application (`blotter.crimes`).
"""
