"""The declared tables for other deployment tools, one module for each. Begin with `export.py`."""
