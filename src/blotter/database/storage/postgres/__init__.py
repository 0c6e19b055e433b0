"""The store on PostgreSQL, for any number of front ends: what each file owns is said in its first lines, how they
work together in docs/architecture/postgres.md. `connections` leads to the primary, `layout` is what lies there;
what executes handlers is here."""
