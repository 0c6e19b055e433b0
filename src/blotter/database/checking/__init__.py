"""Heavy bodies (`http.budget.is_heavy`), checked by a process of their own before a worker decodes any of them.

One call of a decoder, and code that is compiled, keep the interpreter's lock to their end, so a body of 15 MB with
a million small values would stop all requests of a worker for a second, whichever thread decodes it. `process` is
the process that checks, one body at a time for all workers; `client` is how a worker uses it; `body_check` is what
is checked, and the result.
"""
