"""The control plane: operations on tables, their indexes, tags and time to live.

`lifecycle` creates, describes, lists and deletes; `update_table` and `update_indexes` change; `request` converts
what requests contain into the catalog's values and `description` the catalog into responses; `catalog` saves.
"""
