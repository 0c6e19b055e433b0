"""HTTP/1.1 for the database: bytes to requests, answers to bytes, and the connections in between.

`reader` and `writer` do no I/O; `connection` owns a socket, `server` the connections of a worker, `gate` decides
who is talked to at all. DynamoDB starts in `pipeline.py`.
"""
