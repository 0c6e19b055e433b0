"""What each operation does, inside a transaction of the storage. `registry` lists them all.

One module for a family of operations; what several of them need has a module of its own. `item_store.write_item`
is the one place that changes an item together with its index entries and the change log.
"""
