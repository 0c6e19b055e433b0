"""What lies in PostgreSQL: the schema and its versions, setting a store up, checking it, its secrets."""
