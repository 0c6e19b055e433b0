"""PartiQL's operations: ExecuteStatement, BatchExecuteStatement, ExecuteTransaction.

`statement`, `batch` and `transaction` are one operation each; `select` reads, `writes` changes one item for all
three, `touches` lists what a statement is about. Statements themselves are `expressions.partiql`.
"""
