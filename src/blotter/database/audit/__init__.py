"""The audit trail: who did what, in AWS CloudTrail's record format, in files that show whether they were changed.

    recorder      what a finished request becomes: a record, written before the answer leaves (management events),
                  or soon after (data events)
    events        the record; `parameters` and `statements`: its request parameters, without values of items
    trail         the records of one process: group commit, rotation, what happens on a full disk
    journal       the append-only file that a process writes its records to
    archive       closed journals become files in CloudTrail's layout
    chain         the signed list of all journals and files
    reading       records back from the files; `verification` finds what was changed
    cli           `blotter audit show`, `blotter audit verify`

Start with `recorder`. Nothing here knows an operation's meaning beyond how its parameters are recorded.
"""
