"""`blotter check` and `blotter inspect`: what a data directory holds, and whether it is sound.

Above the operations, because only they define what items, indexes and streams must look like. Reads only.
"""
