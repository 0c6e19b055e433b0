"""`blotter check`, `inspect` and `snapshot`: what a data directory holds, whether it is sound, a copy of it.

Above the operations, because only they define what items, indexes and streams must look like. Reads only.
"""
