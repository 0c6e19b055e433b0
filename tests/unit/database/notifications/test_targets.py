"""`--notify`: which ARN goes where, what is not valid, and that nothing secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from blotter.database.notifications.targets import Mail, Target, Targets, Topic, WebHook, parse_targets

TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"


@pytest.mark.parametrize(
    ("url", "target", "shown"),
    [
        (
            "https://hooks.example.com/services/T0/SECRET?token=SECRET",
            WebHook("https://hooks.example.com/services/T0/SECRET?token=SECRET"),
            "https://hooks.example.com",
        ),
        ("http://user:SECRET@[::1]:8080/", WebHook("http://user:SECRET@[::1]:8080/"), "http://::1:8080"),
        (
            "smtp://mail.example.com?from=db@example.com&to=a@example.com,b@example.com&to=c@example.com",
            Mail(
                "mail.example.com",
                25,
                "db@example.com",
                ("a@example.com", "b@example.com", "c@example.com"),
                "",
                "",
                False,
            ),
            "smtp://mail.example.com:25",
        ),
        (
            "smtps://db%40example.com:SEC%2FRET@mail.example.com/?from=db@example.com&to=a@example.com",
            Mail(
                "mail.example.com",
                465,
                "db@example.com",
                ("a@example.com",),
                "db@example.com",
                "SEC/RET",
                True,
            ),
            "smtps://mail.example.com:465",
        ),
        ("sns:http://127.0.0.1:4566/", Topic("http://127.0.0.1:4566"), "sns:http://127.0.0.1:4566"),
        (
            "sns:https://AKIA:SE%2FCRET@[::1]:1/x",
            Topic("https://[::1]:1/x", "AKIA", "SE/CRET"),
            "sns:https://[::1]:1/x",
        ),
        ("sns:", Topic(""), "sns:"),
    ],
)
def test_targets(url: str, target: Target, shown: str) -> None:
    targets = parse_targets(f"{TOPIC}={url}")
    assert targets == Targets(f"{TOPIC}={url}", ((TOPIC, target),))
    assert target.shown == shown
    assert "SEC" not in target.shown


def test_the_first_entry_that_fits_is_taken() -> None:
    given = "arn:aws:sns:*:ops=http://a\n arn:aws:sns:us-east-1:*=http://b\t*[x]?=http://c"
    targets = parse_targets(given)
    names = {TOPIC: "http://a", "arn:aws:sns:us-east-1:1:other": "http://b", "any[x]?": "http://c"}
    assert {arn: target.shown for arn in names if (target := targets.find(arn))} == names
    assert targets.find("arn:aws:sns:eu-west-1:1:other") is None
    assert targets.find("anyx!") is None
    assert parse_targets("").find(TOPIC) is None


def test_a_file_of_targets(tmp_path: Path) -> None:
    path = tmp_path / "targets"
    path.write_text(f"# of the operators\n{TOPIC}=http://a\n\n  # none\n*=http://b\n")
    targets = parse_targets(f"file:{path}")
    assert targets.text == f"file:{path}"
    assert [target.shown for _, target in targets.entries] == ["http://a", "http://b"]


@pytest.mark.parametrize(
    "entry",
    [
        "SECRET",
        "=http://SECRET",
        "a=ftp://SECRET",
        "a=http://",
        "a=http://x:99999/SECRET",
        "a=http://[SECRET",
        "a=smtp://x",
        "a=smtp://x?from=SECRET&to=a@b",
        "a=smtp://x?from=a@b",
        "a=smtp://x?from=a@b&to=SECRET",
        "a=smtp://x?from=a@b%0ASECRET&to=a@b",
        "a=smtp://?from=a@b&to=a@b",
        "a=sns:SECRET",
        "a=sns:http://x?SECRET",
        "file:/nowhere/SECRET",
    ],
)
def test_what_is_not_valid_is_refused_without_being_quoted(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^(ARN=|a file that can be read)") as error:
        parse_targets(f"*=http://fine {entry}" if not entry.startswith("file:") else entry)
    assert "SECRET" not in str(error.value)
