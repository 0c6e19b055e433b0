"""Backups of tables and tables restored from them: what requests do. The work itself is done by jobs
(`blotter.database.backups`)."""
