"""Encryption at rest: the master key, the data keys it wraps, and what is encrypted with them beside the database.

    master key      outside the data directory: a file, an environment variable, or a key of AWS KMS
      └─ data key   32 random bytes, in `keys.json` of the data directory, wrapped by the master key
           ├─ pages of the database file and its log       storage/sqlite/cipher.py
           ├─ files beside it, for instance the audit trail    files.py
           └─ the secret key, from which others derive theirs    directory_keys.py

Below storage: nothing here knows what a database file contains. Key material is in no message, log line or
representation of these classes.
"""
