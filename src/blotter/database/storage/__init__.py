"""Stores: the protocol (`protocol`), the choice of a backend (`stores`), and a package for each backend."""
