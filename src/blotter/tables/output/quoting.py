"""One function per language for writing a value into it: shell, JSON, TOML, HCL.

Every value that `export`, `init` and `describe --as-toml` write passes through here, wherever it comes from: a
tag, a policy or a name may hold quotes, `$(…)`, `${…}`, line breaks or control characters, and must come out as
the same value, never as code. What the functions return is printable, so that it can also be shown on a terminal.
Pure. Sources: POSIX shell quoting (2.2.2), RFC 8259, TOML 1.0 (basic strings), the HCL native syntax
specification.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.:/-]+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def shell(text: str) -> str:
    """A word of a shell command. `text` must be printable (`shell_can_say`); others go into JSON first."""
    if _PLAIN_WORD.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def shell_can_say(text: str) -> bool:
    """Whether `text` can be a word: the AWS CLI takes `-x` for an option and `file://x` for a file's content."""
    return text.isprintable() and not text.startswith("-") and "://" not in text[:10]


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON whose characters are all printable. Raises ValueError for numbers JSON does not have."""
    return _escape_unprintable(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent))


def _escape_unprintable(document: str) -> str:
    """Only strings of a JSON document can hold such characters, and line breaks only stand between its values."""
    if document.isprintable():
        return document
    return "".join(c if c.isprintable() or c == "\n" else _utf16_escapes(c) for c in document)


def _utf16_escapes(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def toml_key(key: str) -> str:
    """One part of a TOML key."""
    return key if _BARE_KEY.fullmatch(key) else _basic_string(key)


def toml(value: Any) -> str:
    """A value on one line; tables inline. Raises TypeError for None, which TOML does not have."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{toml_key(key)} = {toml(inner)}" for key, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return _basic_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)  # TOML writes inf and nan as Python does
    raise TypeError(f"TOML has no {type(value).__name__}")


def _basic_string(text: str) -> str:
    """TOML's and HCL's quoted strings agree in these escapes. Raises ValueError for half a surrogate pair."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"half a surrogate pair (U+{code:04X}) is no character")
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


# The beginning of a template, and whether it is of the usual form: `${name}` with no further $ or % before it.
_TEMPLATE = re.compile(r"(?P<usual>(?<![$%])[$%](?=\{[\w.:/ -]*\}))\{|(?P<other>[$%])\{", re.ASCII)


def hcl(value: Any) -> str:
    """An HCL expression for a plain value: no part of it is ever a template."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{hcl(key)} = {hcl(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(hcl, value)) + "]"
    if isinstance(value, str):
        return _TEMPLATE.sub(_no_template, _basic_string(value))
    return json.dumps(value, allow_nan=False)


def _no_template(match: re.Match[str]) -> str:
    """`$${name}` is what people write for `${name}`. Elsewhere an escape, because `$$${` has no single reading and
    parsers disagree about `$${` without an end."""
    if usual := match["usual"]:
        return f"{usual}{usual}{{"
    return f"\\u{ord(match['other']):04X}{{"
