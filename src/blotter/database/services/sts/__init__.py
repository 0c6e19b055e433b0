"""AWS Security Token Service: who a caller is. SDKs and tools ask this before anything else."""
