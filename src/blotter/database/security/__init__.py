"""Authentication of requests: credentials, signatures and, while access is open, protection from web pages."""
