"""CloudWatch's metric alarms: what is stored of them, how their state follows from data, what follows from it.

    records       an alarm, an entry of its history, a notification that has to be sent, in the store
    evaluation    the state that points and the treatment of missing ones make; pure
    reasons       that state with AWS's wording; pure
    changes       a change of state: the record, its history, its notifications, in one transaction
    messages      what a notification says, as SNS would deliver it; pure

The operations on alarms are in `services.cloudwatch`; `background.alarms` evaluates them when they are due.
"""
