"""Delivers one message to one target. Everything here waits for networks: it runs on a thread, with time-outs.

A web hook gets what SNS posts to its HTTP subscribers, so what understands those understands this; SNS gets a
Publish of its query API. What fails raises `DeliveryError`, whose text has no password, no path and no answer of
the other side beyond its status. Redirections are failures: a notification goes where the operator said, and
nowhere else.
"""

from __future__ import annotations

import base64
import os
import re
import smtplib
import ssl
import uuid
from email.message import EmailMessage
from time import gmtime, strftime, time
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener
from urllib.request import Request as Outgoing

import orjson

from blotter.database.alarms.records import Notification
from blotter.database.http.messages import Request
from blotter.database.notifications.targets import DeliveryError, Mail, Target, Topic, WebHook
from blotter.database.security import sigv4

TIMEOUT: Final = 10.0
"""Seconds that one step of a delivery may take."""
_SNS_VERSION: Final = "2010-03-31"
_FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"
_LONGEST_SUBJECT: Final = 100
_REGION: Final = re.compile(r"[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,5}")


def send(target: Target, notification: Notification) -> None:
    """Delivers a message. Raises DeliveryError."""
    try:
        if isinstance(target, WebHook):
            _post_to_hook(target, notification)
        elif isinstance(target, Mail):
            _send_mail(target, notification)
        else:
            _publish(target, notification)
    except HTTPError as error:
        raise DeliveryError(f"status {error.code}") from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"status {error.smtp_code}") from None
    except DeliveryError:
        raise
    except Exception as error:  # Whatever it says may quote the address.
        raise DeliveryError(_reason(error)) from None


def _reason(error: BaseException) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__


class _NoRedirection(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    opener = build_opener(_NoRedirection())
    with opener.open(Outgoing(url, body, headers, method="POST"), timeout=TIMEOUT) as answer:
        answer.read(1024)


def _post_to_hook(target: WebHook, notification: Notification) -> None:
    parts = urlsplit(target.url)
    headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
    if notification.action.isascii() and notification.action.isprintable():
        headers["x-amz-sns-topic-arn"] = notification.action
    url = target.url
    if parts.username is not None:
        pair = f"{parts.username}:{parts.password or ''}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    body = {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": notification.action,
        "Subject": notification.subject[:_LONGEST_SUBJECT],
        "Message": notification.message,
        "Timestamp": f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(notification.at))}.000Z",
    }
    _post(url, orjson.dumps(body), headers)


# E-mail


def _send_mail(target: Mail, notification: Notification) -> None:
    context = ssl.create_default_context()
    if target.encrypted:
        server: smtplib.SMTP = smtplib.SMTP_SSL(target.host, target.port, timeout=TIMEOUT, context=context)
    else:
        server = smtplib.SMTP(target.host, target.port, timeout=TIMEOUT)
    with server:
        server.ehlo()
        if not target.encrypted and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif not target.encrypted and target.user:
            raise DeliveryError("the server offers no TLS, and the password is not sent without")
        if target.user:
            server.login(target.user, target.password)
        server.send_message(_mail(target, notification))


def _mail(target: Mail, notification: Notification) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = target.sender
    mail["To"] = ", ".join(target.receivers)
    mail["Subject"] = " ".join(notification.subject.split())[:_LONGEST_SUBJECT]
    mail["Message-ID"] = f"<{uuid.uuid4()}@blotter>"
    mail["Date"] = strftime("%a, %d %b %Y %H:%M:%S +0000", gmtime())
    mail.set_content(_text(notification))
    return mail


def _text(notification: Notification) -> str:
    message = orjson.loads(notification.message)
    lines = [
        f'The alarm "{notification.alarm}" in {message["Region"]} has entered the state {notification.state}: '
        f"{message['NewStateReason']}",
        "",
        f"Description:   {message['AlarmDescription'] or '-'}",
        f"State change:  {message['OldStateValue']} -> {message['NewStateValue']}",
        f"Time:          {message['StateChangeTime']}",
        f"Account:       {message['AWSAccountId']}",
        f"Alarm:         {message['AlarmArn']}",
        "",
        orjson.dumps(message, option=orjson.OPT_INDENT_2).decode(),
        "",
    ]
    return "\n".join(lines)


# SNS


def _publish(target: Topic, notification: Notification) -> None:
    region = _region_of(notification.action) or notification.region
    if not _REGION.fullmatch(region):
        # It becomes part of a host name, and whoever sets an alarm chooses it.
        raise DeliveryError("the ARN names no region")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    endpoint = target.endpoint or f"https://sns.{region}.{domain}"
    body = urlencode(
        {
            "Action": "Publish",
            "Version": _SNS_VERSION,
            "TopicArn": notification.action,
            "Subject": _ascii(notification.subject)[:_LONGEST_SUBJECT],
            "Message": notification.message,
        }
    ).encode()
    key, secret, token = _credentials(target)
    _post(f"{endpoint}/", body, _signed(endpoint, region, body, key, secret, token))


def _credentials(target: Topic) -> tuple[str, str, str]:
    if target.key:
        return target.key, target.secret, ""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not key or not secret:
        raise DeliveryError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
    return key, secret, os.environ.get("AWS_SESSION_TOKEN", "")


def _signed(endpoint: str, region: str, body: bytes, key: str, secret: str, token: str) -> dict[str, str]:
    """The headers of a request to SNS, signed."""
    stamp = strftime("%Y%m%dT%H%M%SZ", gmtime(time()))
    parts = urlsplit(endpoint)
    headers = {"content-type": _FORM, "host": parts.netloc, "x-amz-date": stamp}
    if token:
        headers["x-amz-security-token"] = token
    names = sorted(headers)
    scope = sigv4.Scope(key, stamp[:8], region, "sns", sigv4.TERMINATOR)
    request = Request("POST", f"{parts.path}/", headers, body)
    to_sign = sigv4.string_to_sign(stamp, scope, sigv4.canonical_request(request, names, presigned=False))
    signature = sigv4.sign(sigv4.signing_key(secret, scope), to_sign)
    credential = f"{key}/{stamp[:8]}/{region}/sns/{sigv4.TERMINATOR}"
    headers["Authorization"] = (
        f"{sigv4.ALGORITHM} Credential={credential}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return headers


def _region_of(arn: str) -> str:
    parts = arn.split(":")
    return parts[3] if len(parts) > 4 else ""


def _ascii(text: str) -> str:
    """SNS takes ASCII subjects without control characters only."""
    shown = "".join(character if character.isascii() and character.isprintable() else "?" for character in text)
    return shown.strip() or "Alarm"
