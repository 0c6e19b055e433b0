"""Executes plans over the store. `executor` is the entry; `long_reads` and `writes` are what takes time."""
