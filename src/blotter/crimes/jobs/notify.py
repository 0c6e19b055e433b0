"""Notifications: one webhook and one e-mail for each outcome, as configured; a log line always.

Sent after the item became COMPLETED or FAILED by the worker whose write set that state, hence at most once for
each outcome; the item is authoritative, the message is not. Sending to a slow or broken receiver ends after a few
seconds and never changes the outcome. Messages hold counts and the file's key, never rows. An address may hold a
secret (a token in the path, a password), so neither it nor an error that quotes it reaches the log.
"""

from __future__ import annotations

import base64
import logging
import smtplib
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any, Literal
from urllib.parse import quote, unquote

import msgspec

from blotter.crimes.clock import now_text
from blotter.crimes.item import Summary
from blotter.crimes.jobs.webhook import webhook_address
from blotter.crimes.settings import CrimesSettings

_TIMEOUT_SECONDS = 5
_TRIES = 2

_log = logging.getLogger(__name__)


class Outcome(msgspec.Struct, frozen=True):
    """What became of a file; `summary` when it is COMPLETED, code and message when it FAILED."""

    file_key: str
    status: Literal["COMPLETED", "FAILED"]
    summary: Summary | None
    error_code: str | None = None
    error_message: str | None = None


class Notifier:
    """Sends outcomes to the configured receivers."""

    def __init__(self, settings: CrimesSettings) -> None:
        self._settings = settings
        self._receivers: dict[str, Callable[[dict[str, Any]], None]] = {}
        if settings.webhook_url:
            try:
                self._webhook = webhook_address(settings.webhook_url)
                self._receivers["webhook"] = self._post
            except ValueError as error:  # reported by every command at its start; processing must not depend on it
                _log.error("no webhook is sent: %s", error)
        if settings.email_to and settings.smtp_host:
            self._receivers["e-mail"] = self._mail

    def send(self, outcome: Outcome) -> None:
        """Never raises: a notification is not part of the work."""
        message = self._message(outcome)
        _log.info("%s %s %s", outcome.status, outcome.file_key, outcome.error_code or "")
        for name, receiver in self._receivers.items():
            for attempt in range(_TRIES):
                try:
                    receiver(message)
                    break
                except Exception as error:  # whatever a receiver does, the outcome stands
                    level = logging.WARNING if attempt == _TRIES - 1 else logging.INFO
                    _log.log(level, "%s about %s was not delivered: %s", name, outcome.file_key, _reason(error))

    def _message(self, outcome: Outcome) -> dict[str, Any]:
        summary = outcome.summary
        message: dict[str, Any] = {
            "file_key": outcome.file_key,
            "status": outcome.status,
            "time": now_text(),
            "error_code": outcome.error_code,
            "error_message": outcome.error_message,
        }
        if summary is not None:
            message |= {
                "rows_read": summary.rows_read,
                "rows_scored": summary.rows_scored,
                "rows_skipped": summary.rows_skipped,
                "expected_arrests": summary.expected_arrests,
                "predicted_arrests": summary.predicted_arrests,
                "mean_probability": summary.mean_probability,
                "risk": msgspec.to_builtins(summary.risk),
                "model_version": summary.model_version,
            }
        if self._settings.public_url:
            message["url"] = f"{self._settings.public_url.rstrip('/')}/results/{quote(outcome.file_key)}"
        return {name: value for name, value in message.items() if value is not None}

    def _post(self, message: dict[str, Any]) -> None:
        address = self._webhook
        headers = {"Content-Type": "application/json", "User-Agent": "blotter"}
        if address.username is not None:
            user = f"{unquote(address.username)}:{unquote(address.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        request = urllib.request.Request(
            address._replace(netloc=address.netloc.rpartition("@")[2], fragment="").geturl(),
            data=msgspec.json.encode(message),
            headers=headers,
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            answer.read(1024)

    def _mail(self, message: dict[str, Any]) -> None:
        settings = self._settings
        name = " ".join(message["file_key"].rpartition("/")[2].splitlines())  # a header is one line
        mail = EmailMessage()
        mail["From"], mail["To"] = settings.email_from, settings.email_to
        mail["Subject"] = f"{message['status']}: {name}"
        mail.set_content("\n".join(f"{field}: {value}" for field, value in message.items()) + "\n")
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_TIMEOUT_SECONDS) as server:
            if settings.smtp_starttls:
                server.starttls()
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password)
            server.send_message(mail)


def _reason(error: Exception) -> str:
    """What went wrong, without texts that may quote an address or a password."""
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    if isinstance(error, smtplib.SMTPResponseException):
        return f"SMTP status {error.smtp_code}"
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__
