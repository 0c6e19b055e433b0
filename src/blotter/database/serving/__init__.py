"""`blotter serve`: how a server is put together, its processes, and what each has of the other packages."""
