"""Metrics: what requests and the server did, counted in shared memory and kept as points in the store.

names      every metric that the server makes: its unit, dimensions and statistics
cells      counters in memory that the processes share; made before the fork
counting   the pipeline's `account` hook and how anything else is counted
collector  a minute's counters into points (background)
points     what a point is; `point_store`: points of CloudWatch's periods in the store
series     START HERE to read: which metrics there are, and the points of one
"""
