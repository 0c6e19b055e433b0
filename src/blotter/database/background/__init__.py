"""What nobody waits for: deleted tables, new indexes, expired items, old changes and tokens. `runner` runs it."""
