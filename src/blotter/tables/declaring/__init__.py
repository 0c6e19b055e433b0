"""What blotter.toml can declare for a table: the format, its schema, a first file. Begin with `declaration.py`."""
