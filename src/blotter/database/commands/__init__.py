"""Commands on servers and stores, and the options that all commands share. Others: `cli.py` of their packages."""
