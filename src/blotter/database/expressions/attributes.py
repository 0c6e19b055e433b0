"""The expressions of one request and the placeholders they share.

An operation hands over ExpressionAttributeNames and ExpressionAttributeValues, compiles its expressions in the
order in which AWS checks them, and calls `finish`, which refuses placeholders that none of them used.

Expensive results are cached: the parsed text (`_parsed`, within a number of bytes), and under it the
compiled form for each meaning of its names and types of its values. Whatever was compiled has passed `checks` for
that meaning; what depends on the values themselves (`checks.value_checks`) is checked for each request. A check
that fails raises and caches nothing, so a wrong expression always gets the message for its own values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from blotter.database.expressions import checks, problems
from blotter.database.expressions.condition import Condition, paths_of
from blotter.database.expressions.evaluator import compile_condition
from blotter.database.expressions.java_order import in_hash_set_order
from blotter.database.expressions.key_condition import KeyCondition, KeyTemplate, compile_key_condition
from blotter.database.expressions.operands import Test
from blotter.database.expressions.parser import Grammar, Parsed, parse
from blotter.database.expressions.paths import resolve
from blotter.database.expressions.problems import Problem, ResolvedPath
from blotter.database.expressions.projection import Projection
from blotter.database.expressions.search_condition import SearchClause, SearchTemplate, compile_search_condition
from blotter.database.expressions.syntax import ConditionTree, ProjectionTree, UpdateTree
from blotter.database.expressions.update import Update, UpdateProgram, compile_update
from blotter.database.model.byte_cache import ByteCache
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.values import AttributeValue

Language = Literal["condition", "key condition", "search condition", "update", "projection"]
Values = Mapping[str, AttributeValue]

_GRAMMARS: dict[Language, Grammar] = {
    "condition": "condition",
    "key condition": "condition",
    "search condition": "condition",
    "update": "update",
    "projection": "projection",
}

CACHE_BYTES = 32 * 1024 * 1024
"""What parsed and compiled expressions may take in each worker."""
MAX_MEANINGS = 16
"""Compiled forms of one text: they differ in the names of its placeholders or the types of its values."""

# Bytes that a text takes once parsed, and once compiled beside the names it is compiled with: measured with many
# forms, the largest of them (an update of 500 attributes) takes 117 bytes for each of its own.
_PARSED_BYTES, _PARSED_PER_BYTE = 2000, 100
_COMPILED_BYTES, _COMPILED_PER_BYTE = 1000, 60

T = TypeVar("T")


class _CachedText:
    """A parsed text and what it was compiled to, by the meaning of its placeholders."""

    __slots__ = ("by_meaning", "compiled_bytes", "key", "names", "tree", "value_checks", "values")

    def __init__(self, key: tuple[Language, str], parsed: Parsed) -> None:
        self.key = key
        self.tree: Any = parsed.tree
        self.names = parsed.names
        self.values = parsed.values
        self.value_checks = tuple(checks.value_checks(parsed.tree))
        self.by_meaning: dict[tuple[Any, ...], Any] = {}
        self.compiled_bytes = 0

    def keep(self, meaning: tuple[Any, ...], compiled: Any, names: Mapping[str, str]) -> None:
        """Keeps a compiled form, and counts what it takes."""
        size = _COMPILED_BYTES + _COMPILED_PER_BYTE * len(self.key[1])
        # A name is found in the key, in paths and in the request that brought it; it may take 4 bytes a character.
        size += sum([4 * len(names[name]) for name in self.names])
        if len(self.by_meaning) >= MAX_MEANINGS:
            self.by_meaning.clear()
            _TEXTS.grow(self.key, self, -self.compiled_bytes)
            self.compiled_bytes = 0
        self.by_meaning[meaning] = compiled
        self.compiled_bytes += size
        _TEXTS.grow(self.key, self, size)

    def right_values(self, values: Values) -> bool:
        """Whether the values pass those checks that depend on more than their types."""
        return all(right(values) for right in self.value_checks)


_TEXTS = ByteCache(CACHE_BYTES)


def _parsed(language: Language, text: str) -> _CachedText:
    key = (language, text)
    cached: _CachedText | None = _TEXTS.get(key)
    if cached is None:
        parsed = parse(_GRAMMARS[language], text)
        checks.check_form(parsed.tree)
        cached = _CachedText(key, parsed)
        _TEXTS.put(key, cached, _PARSED_BYTES + _PARSED_PER_BYTE * len(text))
    return cached


class ExpressionAttributes:
    """The placeholders of a request, and the expressions that use them.

    Names and values are as validated: names map `#placeholder` to attribute name, values map `:placeholder` to a
    canonical attribute value; None when the request has none.
    """

    __slots__ = ("_key_condition_error", "_names", "_used_names", "_used_values", "_values")

    def __init__(self, names: dict[str, str] | None, values: dict[str, AttributeValue] | None) -> None:
        self._names: dict[str, str] = names or {}
        self._values: dict[str, AttributeValue] = values or {}
        self._used_names: set[str] = set()
        self._used_values: set[str] = set()
        self._key_condition_error: DynamoDBError | None = None

    def condition(self, parameter: str, text: str) -> Condition:
        """The ConditionExpression or FilterExpression, as `parameter` names it. Raises ValidationException."""
        compiled: tuple[Test, tuple[ResolvedPath, ...]] = self._compiled(parameter, "condition", text, _condition)
        return Condition(compiled[0], self._values, compiled[1], "Filter Expression")

    def projection(self, text: str) -> Projection:
        return self._compiled("ProjectionExpression", "projection", text, _projection)

    def update(self, text: str) -> Update:
        program: UpdateProgram = self._compiled("UpdateExpression", "update", text, _update)
        return Update(program, self._values)

    def key_condition(self, text: str) -> KeyCondition:
        """The KeyConditionExpression. What only a key condition may not hold is refused by `finish`, because AWS
        checks it after everything else that can be checked without the table."""
        parameter = "KeyConditionExpression"
        compiled = self._compiled(parameter, "key condition", text, _key_condition)
        if isinstance(compiled, Problem):
            self._key_condition_error = _invalid(parameter, compiled)
            return KeyCondition(())
        values = self._values
        return KeyCondition([template.bound(values) for template in compiled])

    def search_condition(self, text: str) -> tuple[SearchClause, ...]:
        """The SearchConditionExpression."""
        compiled: tuple[SearchTemplate, ...] = self._compiled(
            "SearchConditionExpression", "search condition", text, _search_condition
        )
        values = self._values
        return tuple([template.bound(values) for template in compiled])

    def finish(self) -> None:
        """Raises ValidationException for placeholders that no expression used, then for what a key condition may
        not hold."""
        if len(self._used_names) < len(self._names):
            raise problems.unused_placeholders("ExpressionAttributeNames", _unused(self._names, self._used_names))
        if len(self._used_values) < len(self._values):
            raise problems.unused_placeholders(
                "ExpressionAttributeValues", _unused(self._values, self._used_values)
            )
        if self._key_condition_error is not None:
            raise self._key_condition_error

    def _compiled(
        self, parameter: str, language: Language, text: str, compile_: Callable[[_CachedText, Any, Any], T]
    ) -> T:
        try:
            cached = _parsed(language, text)
            names, values = self._names, self._values
            try:
                # The names that the placeholders stand for, and the types of the values: their dicts' only keys.
                meaning: tuple[Any, ...] = tuple([tuple(values[name]) for name in cached.values])
                if cached.names:
                    meaning = (*[names[name] for name in cached.names], *meaning)
                compiled: T | None = cached.by_meaning.get(meaning)
            except KeyError:
                # A placeholder is undefined; the check finds the one that AWS reports.
                meaning, compiled = (), None
            if compiled is None or (cached.value_checks and not cached.right_values(values)):
                _check(cached, names, values)
            if compiled is None:
                compiled = compile_(cached, names, values)
                cached.keep(meaning, compiled, names)
        except Problem as problem:
            raise _invalid(parameter, problem) from None
        self._used_names.update(cached.names)
        self._used_values.update(cached.values)
        return compiled


def _type(value: AttributeValue) -> str:
    for type_ in value:
        return type_
    return ""


def _invalid(parameter: str, problem: Problem) -> DynamoDBError:
    message = f"Invalid {parameter}: {problem}"
    if problem.older is None:
        return validation_error(message)
    return validation_error(f"Invalid {parameter}: {problem.older}", current=message)


def _check(cached: _CachedText, names: Mapping[str, str], values: Mapping[str, AttributeValue]) -> None:
    tree = cached.tree
    if isinstance(tree, UpdateTree):
        checks.check_update(tree, names, values)
    elif isinstance(tree, ProjectionTree):
        checks.check_projection(tree, names)
    else:
        checks.check_condition(tree, names, values)


def _condition(
    cached: _CachedText, names: Mapping[str, str], values: Mapping[str, AttributeValue]
) -> tuple[Test, tuple[ResolvedPath, ...]]:
    tree: ConditionTree = cached.tree
    types = {placeholder: _type(values[placeholder]) for placeholder in cached.values}
    return compile_condition(tree, names, types), paths_of(tree, names)


def _key_condition(cached: _CachedText, names: Mapping[str, str], _: Any) -> tuple[KeyTemplate, ...] | Problem:
    try:
        return compile_key_condition(cached.tree, names)
    except Problem as problem:
        return problem


def _search_condition(cached: _CachedText, names: Mapping[str, str], _: Any) -> tuple[SearchTemplate, ...]:
    return compile_search_condition(cached.tree, names)


def _projection(cached: _CachedText, names: Mapping[str, str], _: Any) -> Projection:
    return Projection(resolve(path, names) for path in cached.tree.paths)


def _update(cached: _CachedText, names: Mapping[str, str], _: Any) -> UpdateProgram:
    return compile_update(cached.tree, names)


def _unused(placeholders: Mapping[str, Any], used: set[str]) -> list[str]:
    """In the order in which the service lists them."""
    return [placeholder for placeholder in in_hash_set_order(placeholders) if placeholder not in used]
