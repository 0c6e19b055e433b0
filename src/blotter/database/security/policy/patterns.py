"""Patterns of policies: `*`, `?` and policy variables, matched against a request's texts.

A `Template` is a pattern as the document has it. Without variables it is one `Glob`; with variables it becomes a
`Glob` for every request that has their values:

    Template("home/${aws:username}/*", variables=True).glob({"aws:username": ("alice",)}).matches("home/alice/x")

`${*}`, `${?}` and `${$}` stand for the characters themselves; `${aws:username, 'nobody'}` has a default. The value
of a variable is inserted as it is: a `*` in it matches a `*`. Matching goes through the text once, whatever a
hostile policy or request holds. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_NAME_AND_DEFAULT: Final = re.compile(r"\s*([^,']*?)\s*(?:,\s*'(.*)'\s*)?", re.DOTALL)
_LITERALS: Final = ("*", "?", "$")

_STAR: Final = 0
_ANY_CHARACTER: Final = 1


class Glob:
    """A pattern without variables: texts between `*`, in each of which some places may be any character."""

    __slots__ = ("_first", "_last", "_middle", "_only")

    def __init__(self, pieces: list[str | int]) -> None:
        """`pieces` are literal texts and the marks of wildcards, in order."""
        chunks: list[_Chunk] = []
        run: list[str | int] = []
        for piece in pieces:
            if piece == _STAR:
                chunks.append(_Chunk(run))
                run = []
            else:
                run.append(piece)
        chunks.append(_Chunk(run))
        self._only: Final = chunks[0] if len(chunks) == 1 else None
        self._first: Final = chunks[0]
        self._middle: Final = [chunk for chunk in chunks[1:-1] if chunk.length]
        self._last: Final = chunks[-1]

    def matches(self, text: str) -> bool:
        only = self._only
        if only is not None:
            return only.length == len(text) and only.is_at(text, 0)
        first, last = self._first, self._last
        end = len(text) - last.length
        if first.length > end or not first.is_at(text, 0) or not last.is_at(text, end):
            return False
        at = first.length
        for chunk in self._middle:
            at = chunk.find(text, at, end)
            if at < 0:
                return False
            at += chunk.length
        return True


class _Chunk:
    """The part of a pattern between two `*`."""

    __slots__ = ("_offsets", "_plain", "_texts", "length")

    def __init__(self, run: list[str | int]) -> None:
        offsets: list[int] = []
        texts: list[str] = []
        at = 0
        for piece in run:
            if isinstance(piece, str):
                if piece:
                    offsets.append(at)
                    texts.append(piece)
                    at += len(piece)
            else:
                at += 1
        self.length: Final = at
        self._offsets: Final = offsets
        self._texts: Final = texts
        self._plain: Final = "".join(texts) if sum(map(len, texts)) == at else None

    def is_at(self, text: str, at: int) -> bool:
        """Whether the chunk matches the text at a place where there is room for it."""
        if self._plain is not None:
            return text.startswith(self._plain, at)
        return all(text.startswith(piece, at + self._offsets[number]) for number, piece in enumerate(self._texts))

    def find(self, text: str, start: int, end: int) -> int:
        """The first place between `start` and `end` where the chunk matches; -1 when there is none."""
        if self._plain is not None:
            return text.find(self._plain, start, end)
        if self.is_at(text, start):
            return start if start + self.length <= end else -1
        return self._search(text, start, end)

    def _search(self, text: str, start: int, end: int) -> int:
        """Goes through the text once (shift-and): bit n of `state` says whether the characters up to here match
        the first n + 1 places of the chunk. Trying one place after the other would take minutes for what a session
        policy and a request can hold."""
        last = self.length - 1
        anything = (1 << self.length) - 1
        places: dict[str, int] = {}
        for offset, piece in zip(self._offsets, self._texts, strict=True):
            for number, character in enumerate(piece, offset):
                places[character] = places.get(character, 0) | 1 << number
                anything ^= 1 << number
        state = 0
        for at in range(start, end):
            state = (state << 1 | 1) & (places.get(text[at], 0) | anything)
            if state >> last & 1:
                return at - last
        return -1


class Template:
    """A pattern of a document. `variables`: whether `${…}` means something (not in version 2008-10-17);
    `wildcards`: whether `*` and `?` do."""

    __slots__ = ("_parts", "constant", "names", "text")

    def __init__(self, text: str, *, variables: bool, wildcards: bool = True) -> None:
        self.text: Final = text
        self._parts: Final = list(_parts(text, variables, wildcards))
        names = [part.name for part in self._parts if isinstance(part, _Variable)]
        self.names: Final = tuple(names)
        """The context keys that it refers to, as the document spells them."""
        self.constant: Final = None if names else Glob([p for p in self._parts if not isinstance(p, _Variable)])

    def glob(self, context: Mapping[str, tuple[str, ...]]) -> Glob | None:
        """The pattern for a request; None when the request has no value for a variable without default."""
        if self.constant is not None:
            return self.constant
        pieces: list[str | int] = []
        for part in self._parts:
            if isinstance(part, _Variable):
                value = part.value(context)
                if value is None:
                    return None
                pieces.append(value)
            else:
                pieces.append(part)
        return Glob(pieces)

    def value(self, context: Mapping[str, tuple[str, ...]]) -> str | None:
        """The text for a request, of a template without wildcards; None as in `glob`."""
        texts: list[str] = []
        for part in self._parts:
            text = part.value(context) if isinstance(part, _Variable) else str(part)
            if text is None:
                return None
            texts.append(text)
        return "".join(texts)


class _Variable:
    """`${name}` or `${name, 'default'}`."""

    __slots__ = ("_default", "_key", "name")

    def __init__(self, name: str, default: str | None) -> None:
        self.name: Final = name
        self._key: Final = name.lower()
        self._default: Final = default

    def value(self, context: Mapping[str, tuple[str, ...]]) -> str | None:
        """The value of the context key, which has to have exactly one, else the default."""
        values = context.get(self._key)
        if values is not None and len(values) == 1:
            return values[0]
        return self._default


def _parts(text: str, variables: bool, wildcards: bool) -> list[str | int | _Variable]:
    parts: list[str | int | _Variable] = []
    at = 0
    if variables:
        for match in _VARIABLE.finditer(text):
            inside = match[1]
            named = _NAME_AND_DEFAULT.fullmatch(inside)
            if inside not in _LITERALS and named is None:
                continue  # Not a variable: its characters mean themselves.
            parts += _wild(text[at : match.start()], wildcards)
            at = match.end()
            if named is None or inside in _LITERALS:
                parts.append(inside)
            else:
                parts.append(_Variable(named[1], named[2]))
    parts += _wild(text[at:], wildcards)
    return parts


def _wild(text: str, wildcards: bool) -> list[str | int | _Variable]:
    if not wildcards:
        return [text]
    return [
        _STAR if piece == "*" else _ANY_CHARACTER if piece == "?" else piece
        for piece in re.split(r"([*?])", text)
        if piece
    ]


_EARLY_STAR: Final = re.compile(r"\*:")
ARN_PARTS: Final = 6


class ArnPattern:
    """A pattern for ARNs, compared part by part: partition, service, region, account and the rest.

    A `*` at the end of a part may match beyond the colon. `short_matches`: a pattern of fewer parts stands for any
    of the missing ones even without a `*` at its end (identity policies). In a condition, `beyond_colons` is
    False: each part is compared by itself. Source:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """

    __slots__ = ("_everything", "_parts", "_whole", "names", "text")

    def __init__(
        self, text: str, *, variables: bool, short_matches: bool = False, beyond_colons: bool = True
    ) -> None:
        self.text: Final = text
        parts = _split(text, variables)
        if len(parts) < ARN_PARTS and (short_matches or (beyond_colons and text.endswith("*"))):
            parts += ["*"] * (ARN_PARTS - len(parts))
        self._everything: Final = text == "*"
        self._parts: Final = [Template(part, variables=variables) for part in parts]
        self._whole: Final = (
            Template(text, variables=variables) if beyond_colons and _EARLY_STAR.search(text) else None
        )
        self.names: Final = tuple(name for part in self._parts for name in part.names)

    def matches(self, arn: str, context: Mapping[str, tuple[str, ...]]) -> bool:
        if self._everything:
            return True
        if self._whole is not None:
            whole = self._whole.glob(context)
            if whole is not None and whole.matches(arn):
                return True
        parts = arn.split(":", ARN_PARTS - 1)
        if len(parts) != len(self._parts):
            return False
        for number, template in enumerate(self._parts):
            glob = template.glob(context)
            if glob is None or not glob.matches(parts[number]):
                return False
        return True

    def is_unresolved(self, context: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether a variable has no value, so that the pattern matches nothing."""
        return any(part.glob(context) is None for part in self._parts)


def _split(text: str, variables: bool) -> list[str]:
    """The parts of an ARN pattern. A colon within `${…}` does not separate."""
    masked = _VARIABLE.sub(lambda variable: "x" * len(variable[0]), text) if variables else text
    parts, at = [], 0
    for part in masked.split(":", ARN_PARTS - 1):
        parts.append(text[at : at + len(part)])
        at += len(part) + 1
    return parts
