"""AWS Security Token Service: the identity of a caller. SDKs and tools ask for it before anything else."""
