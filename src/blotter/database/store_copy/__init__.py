"""Copies of a whole store into another one: `blotter store copy`. Start reading in `copying.py`."""
