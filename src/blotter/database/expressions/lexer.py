"""Text to tokens: the one lexer of the four expression languages.

A name starts with a letter; `_` and digits may follow. Placeholders are `#` or `:` and at least one such
character. Indexes have no leading zeros. The nine keywords are keywords in every language and in any case.
Whatever else stands in the text becomes a token of its own, so that the parser can report it as AWS does.
Nothing is refused here.
Source: the grammar that AWS ships in its DAX clients (DynamoDbGrammar), and observed error messages.
"""

from __future__ import annotations

import re
from typing import NamedTuple

KEYWORDS = frozenset(("IN", "BETWEEN", "NOT", "AND", "OR", "SET", "ADD", "DELETE", "REMOVE"))

_TOKEN = re.compile(
    r"""(?P<ID>[A-Za-z][A-Za-z0-9_]*)
      | (?P<NAME>\#[A-Za-z0-9_]+)
      | (?P<VALUE>:[A-Za-z0-9_]+)
      | (?P<INDEX>0|[1-9][0-9]*)
      | (?P<OPERATOR><>|<=|>=|[=<>()\[\],.+-])
      | (?P<WHITESPACE>[ \t\r\n]+)
      | (?P<UNKNOWN>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """`kind` is ID, NAME, VALUE, INDEX, UNKNOWN, EOF, a keyword in capitals, or an operator itself."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """The tokens of an expression, followed by an EOF token."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "UNKNOWN"
        if kind == "WHITESPACE":
            continue
        token = match.group()
        if kind == "OPERATOR":
            kind = token
        elif kind == "ID" and token.upper() in KEYWORDS:
            kind = token.upper()
        tokens.append(Token(kind, token, match.start(), match.end()))
    tokens.append(Token("EOF", "<EOF>", len(text), len(text)))
    return tokens
