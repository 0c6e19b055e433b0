"""Making changes until nothing differs, deleting tables, and what a run shows meanwhile. Begin with `apply.py`."""
