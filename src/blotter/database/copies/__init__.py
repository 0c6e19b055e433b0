"""Copies of tables and where they go: one store of objects, one format, one way to copy a table at an exact
moment, and the jobs that do all this in the background. Backups, bases of point-in-time recovery, exports and
imports are built from these."""
