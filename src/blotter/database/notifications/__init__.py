"""Where notifications about alarms go: what `--notify` maps an ARN to.

`targets` reads the setting; `sending` delivers one message to a web hook, by e-mail or through SNS. Which messages
wait, and when they are tried again, is the business of `background.notifications`.
"""
