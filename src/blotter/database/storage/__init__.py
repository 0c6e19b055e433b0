"""Where data lies: the Storage protocol, the data directory, and a package for each backend."""
