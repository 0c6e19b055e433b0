"""Work without a request: deleted tables, new indexes, expired items, old changes and tokens. `runner` runs it."""
