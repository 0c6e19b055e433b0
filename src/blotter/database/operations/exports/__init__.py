"""ExportTableToPointInTime, DescribeExport, ListExports. Begin with `request.py`; `records.py` is what is kept."""
