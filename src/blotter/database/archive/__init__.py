"""The archive: everything a server holds, shipped continuously to a store of objects, and how a data directory is
built from it again. `archiver` ships, `bases` copies what the log does not go back to, `recovering` builds
(`rebuilding` the tables), `status` looks.
"""
