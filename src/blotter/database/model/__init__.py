"""What DynamoDB's words mean: values, numbers, keys, sizes, capacity, tables, streams and errors.

Pure: no I/O, no requests, no knowledge of how anything is stored. Every other room may use it.
"""
