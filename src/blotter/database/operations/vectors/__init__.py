"""Vector indexes: their entries, and SearchVectors.

`entries` keeps an index up to date with an item, `journal` records which entries changed, `search` prepares and
executes the operation; `matrix` holds the vectors of an index in memory and `scoring` compares with them, both
with numpy, which is imported when the first search needs it.
"""
