"""The database: DynamoDB's wire protocol over files of its own. `pipeline` is where to start reading.

One package for each stage of a request; `serving` runs them in processes. It imports neither the
set-up (`blotter.tables`) nor the application (`blotter.crimes`).
"""
