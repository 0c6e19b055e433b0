"""`blotter backup`, `restore` and `export` on any DynamoDB endpoint, AWS included. Begin with `cli.py`."""
