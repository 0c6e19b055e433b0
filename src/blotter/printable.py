"""Text that came from outside, made safe for a terminal and a log: the one place where that is decided.

Text from an endpoint, a file, a name or an exception may hold escape sequences, line breaks, bidirectional
overrides or control characters that would move the cursor, fake a line of output or hide a part of it. `one_line`
shows every character that is not printable as an escape (`\\x1b`, `\\u202e`), so one value stays one value on one
line. It also hides what a URL may carry beside the address: user name, password and query. Pure; imports nothing
of Blotter.
"""

from __future__ import annotations

import re

LONGEST = 2000  # characters of one line; what is longer is cut, visibly

# scheme://user:password@ up to the last @ of the word; a password may itself hold an @.
_USER_INFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#'\"]*@")
_QUERY = re.compile(r"(?P<address>[A-Za-z][A-Za-z0-9+.-]*://[^\s?'\"]*)\?[^\s'\"]+")


def printable(text: str) -> str:
    """`text` with every character escaped that is not printable: controls, line breaks, bidi, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def one_line(text: str, longest: int = LONGEST) -> str:
    """A message as one line: white space becomes single blanks, secrets of URLs are hidden, the rest escaped."""
    if len(text) > 4 * longest:
        text = text[: 4 * longest] + "…"  # white space and escapes change the length; a rough cut first
    line = printable(without_secrets(" ".join(text.split())))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def without_secrets(text: str) -> str:
    """`text` without the user names, passwords and queries of the URLs in it."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\g<address>?***", _USER_INFO.sub(r"\g<scheme>***@", text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
