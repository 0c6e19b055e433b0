"""Exports of tables in AWS's own file layout. Begin with `job.py`; formats: `lines.py`, `ion.py`, `layout.py`."""
