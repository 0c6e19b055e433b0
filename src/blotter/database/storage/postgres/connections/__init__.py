"""Connections to a store in PostgreSQL: finding the primary, proving that it still is one, pools, refusals."""
