"""Objects of CSV, DynamoDB JSON or Ion, read into items with bounded memory, and written to tables in bulk.

ImportTable and bulk writes share it. `compression` and `lines` turn the bytes of an object into lines, `formats`
turns them into items, `rows` items into rows of a table, `reading` does it for all objects of a source and counts.
What is wrong with an object or an item is a value here, never an exception that ends an import.
"""
