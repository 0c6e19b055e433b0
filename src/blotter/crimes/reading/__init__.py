"""From an uploaded file to batches of incidents: bytes, lines, records, dates. Begin with `reader.py`."""
