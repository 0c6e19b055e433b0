"""PartiQL statements without the values in them, as CloudTrail records them.

    UPDATE Music SET Album = ***(Redacted) WHERE Artist = 'No One You Know' AND SongTitle = 'Call Me Today'
    INSERT INTO Music VALUE {'Artist' : ***(Redacted), 'SongTitle' : ***(Redacted), 'Album' : ***(Redacted)}

A literal stays only where the WHERE clause requires an attribute of the table's key to equal it. Comments are left
out. What cannot be read as tokens is redacted as a whole.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/understanding-ddb-log-entries.html
"""

from __future__ import annotations

from collections.abc import Callable

from blotter.database.expressions.partiql.lexer import pieces
from blotter.database.expressions.partiql.problems import Problem

REDACTED = "***(Redacted)"

_VALUES = ("STRING", "NUMBER")
_WORDS_BEFORE_TABLE = ("from", "into", "update")
_LITERALS = ("true", "false", "null", "missing")


def redacted_statement(statement: str, key_names: Callable[[str], tuple[str, ...]]) -> str:
    """`key_names(table)` gives the names of a table's key."""
    try:
        found = pieces(statement)
    except Problem:
        return REDACTED
    tokens = [(kind, " " if kind == "SPACE" else text) for kind, text in found]
    shown = [at for at, (kind, _) in enumerate(tokens) if kind != "SPACE"]
    words = [tokens[at][1].lower() for at in shown]
    names = key_names(_table(words, [tokens[at][1] for at in shown]))
    where = words.index("where") if "where" in words and words[:1] != ["insert"] else len(words)
    for position, at in enumerate(shown):
        kind, text = tokens[at]
        if kind in _VALUES or (kind == "WORD" and text.lower() in _LITERALS):
            before = [tokens[each][1] for each in shown[max(0, position - 3) : position]]
            # The member names of an item that is inserted are strings, too.
            is_name = words[position + 1 : position + 2] == [":"]
            if not is_name and not (position > where and _equals_key(before, names)):
                tokens[at] = (kind, REDACTED)
    return "".join(text for _, text in tokens)


def _table(words: list[str], texts: list[str]) -> str:
    for position, word in enumerate(words[:-1]):
        if word in _WORDS_BEFORE_TABLE:
            return _unquoted(texts[position + 1])
    return ""


def _equals_key(before: list[str], names: tuple[str, ...]) -> bool:
    """Whether the tokens before a literal are an attribute of the key, alone, and "="."""
    if len(before) < 2 or before[-1] != "=" or _unquoted(before[-2]) not in names:
        return False
    return len(before) < 3 or before[-3] != "."


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
