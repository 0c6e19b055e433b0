"""The jobs behind backups and restores: tables are copied into the store of objects, and filled from it. What
requests do is in `operations.backups`."""
