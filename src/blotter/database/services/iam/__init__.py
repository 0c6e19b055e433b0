"""AWS Identity and Access Management over the store: users, groups, roles, policies, access keys.

Read `registry` first: every operation with what it is authorized on. One module for each subject (`users`,
`roles`, `managed_policies`, …) has the operations themselves: functions of an `IamCall` and a transaction over
`security.access_records`. `views` makes answers of records, `errors` and `wording` have AWS's messages, `limits`
its quotas.
"""
