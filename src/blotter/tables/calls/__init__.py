"""Calls to an endpoint: clients, what a failure means, how long to wait. Begin with `endpoint.py`."""
