"""Statement text to tokens.

Names and keywords are ASCII; a quoted name or string doubles its quote to hold it. Comments, `--` to the end of
the line and `/* */`, are whitespace. A number's exponent and scale are 32-bit integers, as DynamoDB's
parser reads them; whether DynamoDB can store the number is not known here. What makes no token at all has no
detail in its error.
Source: paritysuite/dynamodb-conformance, tests/tier2/partiql/grammar.test.ts, recorded in October 2026.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from blotter.database.expressions.partiql.keywords import KEYWORDS, LITERALS, OPERATORS
from blotter.database.expressions.partiql.problems import Position, not_well_formed

_TOKEN = re.compile(
    r"""(?P<SPACE>[ \t\r\n\v\f]+|--[^\r\n]*|/\*.*?\*/)
      | (?P<WORD>[A-Za-z_$][A-Za-z0-9_$]*)
      | (?P<NUMBER>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<STRING>'(?:[^']|'')*')
      | (?P<QUOTED>"(?:[^"]|"")*")
      | (?P<SYMBOL><<|>>|<>|<=|>=|!=|\|\||(?!/\*)[=<>+\-*/%@()\[\]{},.:;?])
    """,
    re.VERBOSE | re.DOTALL,
)

_PUNCTUATION = {
    "(": "LEFT_PAREN",
    ")": "RIGHT_PAREN",
    "[": "LEFT_BRACKET",
    "]": "RIGHT_BRACKET",
    "{": "LEFT_CURLY",
    "}": "RIGHT_CURLY",
    "<<": "LEFT_DOUBLE_ANGLE_BRACKET",
    ">>": "RIGHT_DOUBLE_ANGLE_BRACKET",
    ",": "COMMA",
    ".": "DOT",
    ":": "COLON",
    ";": "SEMICOLON",
    "?": "QUESTION_MARK",
    "*": "STAR",
}
_MAX_INT = 2**31 - 1


class Token(NamedTuple):
    """`kind` is IDENTIFIER, QUOTED_IDENTIFIER, KEYWORD, LITERAL, STRING, NUMBER, OPERATOR, EOF or punctuation's
    name; `text` is in lower case for keywords, unquoted for names and strings."""

    kind: str
    text: str
    position: Position


def tokenize(statement: str) -> list[Token]:
    """The tokens, followed by an EOF token; raises `Problem` for text that is no token."""
    tokens: list[Token] = []
    offset, line, line_start = 0, 1, 0
    while offset < len(statement):
        match = _TOKEN.match(statement, offset)
        if match is None:
            raise not_well_formed()
        kind, text = str(match.lastgroup), match.group()
        if kind != "SPACE":
            position = Position(line, offset - line_start + 1, len(text))
            tokens.append(_token(kind, text, position))
        offset = match.end()
        newlines = text.count("\n")
        if newlines:
            line += newlines
            line_start = match.start() + text.rindex("\n") + 1
    tokens.append(Token("EOF", "", Position(line, offset - line_start + 1, 0)))
    return tokens


def pieces(statement: str) -> list[tuple[str, str]]:
    """The statement cut into its tokens as written, each with its kind: SPACE (comments included), WORD, NUMBER,
    STRING, QUOTED or SYMBOL. Raises `Problem` for text that is no token."""
    found, offset = [], 0
    while offset < len(statement):
        match = _TOKEN.match(statement, offset)
        if match is None:
            raise not_well_formed()
        found.append((str(match.lastgroup), match.group()))
        offset = match.end()
    return found


def _token(kind: str, text: str, position: Position) -> Token:
    if kind == "WORD":
        return _word(text, position)
    if kind == "NUMBER":
        _check_number(text)
    elif kind == "STRING":
        text = text[1:-1].replace("''", "'")
    elif kind == "QUOTED":
        kind, text = "QUOTED_IDENTIFIER", text[1:-1].replace('""', '"')
    elif kind == "SYMBOL":
        kind = _PUNCTUATION.get(text, "OPERATOR")
        if text == "!=":
            text = "<>"
    return Token(kind, text, position)


def _word(text: str, position: Position) -> Token:
    word = text.lower()
    if word in LITERALS:
        return Token("LITERAL", word, position)
    if word in OPERATORS:
        return Token("OPERATOR", word, position)
    if word in KEYWORDS:
        return Token("KEYWORD", word, position)
    return Token("IDENTIFIER", text, position)


def _check_number(text: str) -> None:
    mantissa, _, exponent_text = text.lower().partition("e")
    exponent = int(exponent_text) if exponent_text and len(exponent_text) < 20 else len(exponent_text) * _MAX_INT
    scale = len(mantissa.partition(".")[2]) - exponent
    if abs(exponent) > _MAX_INT or abs(scale) > _MAX_INT:
        raise not_well_formed()
