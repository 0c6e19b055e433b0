"""The admit stage: whether tables and indexes have the capacity for a request. `stage.py` is what the pipeline
calls, `limits.py` says which limits a table has, `buckets.py` keeps what is left of them, shared by all workers,
and `refusals.py` makes AWS's errors."""
