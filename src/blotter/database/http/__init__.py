"""HTTP/1.1 for the database: bytes to requests, responses to bytes, and the connections that carry them.

`reader` and `writer` do no I/O; `connection` owns a socket, `server` the connections of a worker, `routing`
decides which requests get through. DynamoDB starts in `pipeline.py`.
"""
