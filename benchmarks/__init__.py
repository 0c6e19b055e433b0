"""Benchmarks: Blotter beside its peers, beside the floor its parts set, and against its own size.

Not part of the tests. `python -m benchmarks --help` says what can be measured; results and what was learnt from
them are in docs/performance.md. The other files here are programs of their own, for one decision each.
"""
