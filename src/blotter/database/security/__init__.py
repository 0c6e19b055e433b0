"""Who sends a request: credentials, signatures and, while access is open, protection from web pages."""
