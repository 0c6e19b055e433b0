"""AWS Security Token Service: who a caller is, and temporary credentials.

`registry` lists the operations; `assume_role`, `user_sessions` make credentials, with what `session_limits` reads
of session policies and tags. Credentials are sealed into the session token (`security.session_tokens`): nothing is
stored.
"""
