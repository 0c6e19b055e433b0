"""ImportTable and the bulk operations, which read objects: what requests do, and what is kept of each. The work
itself is done by jobs (`blotter.database.importing`)."""
