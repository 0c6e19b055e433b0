"""Benchmarks: Blotter compared with other programs, with the limits of its parts, and at different sizes.

Not part of the tests. `python -m benchmarks --help` lists what can be measured; results and what was learned
from them are in docs/performance.md. `storage_layout.py` and `storage_speed.py` are programs of their own, for one
decision each; `mutants.py` measures the tests.
"""
