"""Delivery of tables' changes to Kinesis data streams: at least once, in order for each item."""
