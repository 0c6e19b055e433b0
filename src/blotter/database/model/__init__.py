"""DynamoDB's concepts: values, numbers, keys, sizes, capacity, tables, streams, ARNs and errors.

Pure: no I/O, no requests, independent of how anything is stored. Every other package of the database may use it.
"""
