"""Which keys a WHERE clause selects.

A write names its item by an equality for every key attribute; the rest of the clause is a condition on it. A
SELECT reads the ranges that the clause leaves possible, or everything; either way the whole clause filters what is
read, so that a range may be too wide but never too narrow. Ranges are disjoint: where several branches of an OR
want parts of one partition, they must not overlap, unless a negation makes that unknowable, and then the whole
partition is read once.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.select.html;
paritysuite/dynamodb-conformance, tests/tier2/partiql/whereOverlap.test.ts and tests/tier3/error-messages/
partiqlGrammar.test.ts, recorded in October 2026; Floci's DynamoDbPartiQLEdgeCaseIntegrationTest, captured from the
service in September 2026.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from hashlib import md5
from itertools import pairwise
from typing import NamedTuple

from blotter.database.expressions.condition import Condition, paths_of
from blotter.database.expressions.evaluator import compile_condition
from blotter.database.expressions.java_order import in_hash_set_order
from blotter.database.expressions.key_condition import KeyClause, KeyOperator, ResolvedKeyCondition
from blotter.database.expressions.operands import Test
from blotter.database.expressions.partiql import problems
from blotter.database.expressions.paths import resolve
from blotter.database.expressions.problems import ResolvedPath
from blotter.database.expressions.syntax import (
    And,
    Between,
    Call,
    Comparison,
    ConditionTree,
    In,
    Not,
    Operand,
    Or,
    Path,
    Value,
)
from blotter.database.model.errors import parameter_error, validation_error
from blotter.database.model.keys import sort_range
from blotter.database.model.table import KeyAttribute, KeySchema
from blotter.database.model.values import AttributeValue, Item, type_of

_MIRRORED: dict[str, KeyOperator] = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_FILTER = "Filter Expression"
_EMPTY_KEYS = {"S": "string", "B": "binary"}


MAX_READS = 50


class Target(NamedTuple):
    """The item a write is about, and what has to hold for it: the whole WHERE clause."""

    key: Item
    condition: Condition


class CompiledClause(NamedTuple):
    """A condition for all requests whose values have the same types."""

    tree: ConditionTree
    names: Mapping[str, str]
    test: Test
    paths: tuple[ResolvedPath, ...]


def compile_clause(
    tree: ConditionTree, names: Mapping[str, str], values: Mapping[str, AttributeValue]
) -> CompiledClause:
    types = {placeholder: type_of(value) for placeholder, value in values.items()}
    return CompiledClause(tree, names, compile_condition(tree, names, types), paths_of(tree, names))


class _Part(NamedTuple):
    """A part of one partition that a branch of the clause selects; without a clause, all of it."""

    clause: KeyClause | None
    negated: bool


class Where:
    """A WHERE clause with the request's values."""

    __slots__ = ("_names", "_tree", "_values", "condition")

    def __init__(self, clause: CompiledClause, values: Mapping[str, AttributeValue]) -> None:
        self._tree = clause.tree
        self._names = clause.names
        self._values = values
        self.condition = Condition(clause.test, values, clause.paths, _FILTER)
        """The whole clause."""

    def key(self, keys: KeySchema) -> Item:
        """The key of the one item that a write is about; raises `KeyMismatch` when the clause does not name it."""
        key, _ = self._named_key(keys)
        if len(key) < len(keys.attributes):
            raise problems.key_not_given()
        return key

    def only_key(self, keys: KeySchema) -> Item | None:
        """The key of the one item the clause selects, if it has no other condition. IN with one value is
        equality."""
        try:
            key, others = self._named_key(keys, lists=True)
        except problems.KeyMismatch:
            return None
        return key if len(key) == len(keys.attributes) and not others else None

    def first_key(self, keys: KeySchema) -> Item | None:
        """The key in a clause that has other conditions too; of two values for an attribute, the first."""
        key, others = self._named_key(keys, first=True)
        return key if len(key) == len(keys.attributes) and others else None

    def equalities(self) -> Item:
        """The attributes that must have one value, whatever the table's key is; of two values, the first."""
        required: Item = {}
        for conjunct in _conjuncts(self._tree):
            clause = self._equality(conjunct, lists=True)
            if clause is not None:
                required.setdefault(clause.attribute, clause.operands[0])
        return required

    def _named_key(self, keys: KeySchema, *, lists: bool = False, first: bool = False) -> tuple[Item, bool]:
        """The equalities for key attributes, and whether there is more in the clause."""
        key: Item = {}
        others = False
        for conjunct in _conjuncts(self._tree):
            asked = self._equality(conjunct, lists)
            attribute = _attribute(keys, asked.attribute) if asked is not None else None
            if asked is None or attribute is None:
                others = True
                continue
            _check_operands(asked, attribute)
            value = asked.operands[0]
            if key.setdefault(attribute.name, value) != value:
                if not first:
                    raise problems.multiple_conditions(attribute.name)
                others = True
        return key, others

    def _equality(self, tree: ConditionTree, lists: bool) -> KeyClause | None:
        if lists and isinstance(tree, In) and len(tree.candidates) == 1:
            name, candidate = self._name(tree.operand), tree.candidates[0]
            if name is None or not isinstance(candidate, Value):
                return None
            return KeyClause(name, "=", (self._values[candidate.name],))
        asked = self._clause(tree)
        return asked if asked is not None and asked.operator == "=" else None

    def ranges(self, keys: KeySchema) -> tuple[ResolvedKeyCondition, ...] | None:
        """The parts of the table or index that can hold what the clause selects, in the order in which it names
        the partitions; None for everything. Raises ValidationException for values of another type than the key's
        and for parts that overlap."""
        (partition,) = keys.partition
        sort = keys.sort[0] if keys.sort else None
        partitions: dict[str, tuple[AttributeValue, list[_Part]]] = {}
        for branch in self._tree.conditions if isinstance(self._tree, Or) else (self._tree,):
            candidates = self._candidates(branch, partition)
            if candidates is None:
                return None
            parts = list(self._parts(branch, keys)) if sort is not None else [_Part(None, negated=False)]
            for value in candidates:
                partitions.setdefault(str(value[partition.type]), (value, []))[1].extend(parts)
        ranges = tuple(
            ResolvedKeyCondition((value,), (clause,) if clause is not None else ())
            for value, parts in partitions.values()
            for clause in _disjoint(parts)
        )
        if len(ranges) > MAX_READS:
            raise problems.too_many_reads()
        return ranges

    def partition_values(self, keys: KeySchema) -> list[AttributeValue] | None:
        """The partitions, by the first attribute of their key, of which it may select something; None for all.
        Raises what `ranges` raises."""
        if len(keys.partition) > 1:
            first = self.equalities().get(keys.partition[0].name)
            return None if first is None else [first]
        ranges = self.ranges(keys)
        return None if ranges is None else [part.partition[0] for part in ranges]

    def refuse_unprojected(self, keys: KeySchema, index: str, held: Container[str]) -> None:
        """Raises ValidationException when a read of an index by its key filters on what the index does not hold.
        Of an OR's branches only the one that is read first is looked at; an OR that names the key in some of its
        branches makes the read a scan, which may filter on anything."""
        (partition,) = keys.partition
        tree = self._tree
        if isinstance(tree, And) and any(self._names_in_part(part, partition) for part in _conjuncts(tree)):
            return
        if isinstance(tree, Or):
            tree = min(tree.conditions, key=lambda branch: self._first_hash(branch, partition))
        missing = [str(path[0]) for path in paths_of(tree, self._names) if path[0] not in held]
        if missing:
            names = ", ".join(in_hash_set_order(missing))
            raise parameter_error(
                f"Secondary index {index} does not project one or more filter attributes: [{names}]"
            )

    def _names_in_part(self, tree: ConditionTree, partition: KeyAttribute) -> bool:
        return (
            isinstance(tree, Or)
            and (partition.name,) in paths_of(tree, self._names)
            and self._candidates(tree, partition) is None
        )

    def _first_hash(self, branch: ConditionTree, partition: KeyAttribute) -> bytes:
        """The service reads partitions in the order of their MD5, as far as is recorded."""
        values = self._candidates(branch, partition) or []
        return min(md5(value[partition.type].encode(), usedforsecurity=False).digest() for value in values)

    def _candidates(self, tree: ConditionTree, attribute: KeyAttribute) -> list[AttributeValue] | None:
        """Values of which the partition attribute must have one; None when it may have any."""
        if isinstance(tree, And):
            found = (self._candidates(condition, attribute) for condition in tree.conditions)
            return next((values for values in found if values is not None), None)
        if isinstance(tree, Or):
            united: list[AttributeValue] = []
            for condition in tree.conditions:
                values = self._candidates(condition, attribute)
                if values is None:
                    return None
                united += values
            return united
        clauses = self._equalities(tree, attribute)
        return None if clauses is None else [clause.operands[0] for clause in clauses]

    def _equalities(self, tree: ConditionTree, attribute: KeyAttribute) -> list[KeyClause] | None:
        """An equality or IN on a key attribute, as equalities."""
        if isinstance(tree, In):
            if self._name(tree.operand) != attribute.name:
                return None
            if not all(isinstance(candidate, Value) for candidate in tree.candidates):
                return None
            clauses = [
                KeyClause(attribute.name, "=", (self._values[candidate.name],))
                for candidate in tree.candidates
                if isinstance(candidate, Value)
            ]
        else:
            clause = self._clause(tree)
            if clause is None or clause.attribute != attribute.name or clause.operator != "=":
                return None
            clauses = [clause]
        for clause in clauses:
            _check_operands(clause, attribute)
        return clauses

    def _parts(self, branch: ConditionTree, keys: KeySchema) -> Iterator[_Part]:
        """What a branch requires of the sort attribute: its first condition that a range can answer, or those of
        an OR within it."""
        (partition,), (sort,) = keys.partition, keys.sort
        negated = False
        for conjunct in _conjuncts(branch):
            equalities = self._equalities(conjunct, sort)
            if equalities is not None:
                yield from (_Part(clause, negated=False) for clause in equalities)
                return
            clause = self._clause(conjunct)
            if clause is not None and clause.attribute == sort.name:
                _check_operands(clause, sort)
                yield _Part(clause, negated=False)
                return
            if isinstance(conjunct, Or):
                names = {path[0] for path in paths_of(conjunct, self._names)}
                if sort.name in names and partition.name not in names:
                    for condition in conjunct.conditions:
                        yield from self._parts(condition, keys)
                    return
            negated = negated or self._negates(conjunct, sort.name)
        yield _Part(None, negated)

    def _negates(self, tree: ConditionTree, name: str) -> bool:
        excludes = isinstance(tree, Not) or (isinstance(tree, Comparison) and tree.operator == "<>")
        return excludes and (name,) in paths_of(tree, self._names)

    def _clause(self, tree: ConditionTree) -> KeyClause | None:
        """A condition of one attribute against values, if this is one."""
        if isinstance(tree, Comparison) and tree.operator in _MIRRORED:
            operands: tuple[Operand, ...] = (tree.left, tree.right)
            operator = _MIRRORED[tree.operator] if isinstance(tree.left, Value) else tree.operator
            name = self._name(tree.left) or self._name(tree.right)
        elif isinstance(tree, Between):
            operands, operator, name = (tree.operand, tree.lower, tree.upper), "BETWEEN", self._name(tree.operand)
        elif isinstance(tree, Call) and tree.function == "begins_with":
            operands, operator, name = tree.arguments, "begins_with", self._name(tree.arguments[0])
        else:
            return None
        values = tuple(self._values[operand.name] for operand in operands if isinstance(operand, Value))
        if name is None or len(values) != len(operands) - 1:
            return None
        return KeyClause(name, operator, values)  # type: ignore[arg-type]

    def _name(self, operand: Operand) -> str | None:
        """The attribute an operand names, if it is a whole attribute."""
        if not isinstance(operand, Path):
            return None
        path: ResolvedPath = resolve(operand, self._names)
        return str(path[0]) if len(path) == 1 else None


def _conjuncts(tree: ConditionTree) -> Iterator[ConditionTree]:
    if isinstance(tree, And):
        for condition in tree.conditions:
            yield from _conjuncts(condition)
    else:
        yield tree


def _attribute(keys: KeySchema, name: str) -> KeyAttribute | None:
    return next((attribute for attribute in keys.attributes if attribute.name == name), None)


def _check_operands(clause: KeyClause, attribute: KeyAttribute) -> None:
    for operand in clause.operands:
        content = operand.get(attribute.type)
        if content is None:
            raise problems.key_type(attribute.name)
        if content == "":
            raise validation_error(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
                f"contain an empty {_EMPTY_KEYS[attribute.type]} value. Key: {attribute.name}"
            )


def _disjoint(parts: list[_Part]) -> Iterable[KeyClause | None]:
    """The clauses of one partition's parts, in ascending order; None alone for the whole partition."""
    clauses = [part.clause for part in parts]
    asked = [clause for clause in clauses if clause is not None]
    if len(parts) == 1:
        return clauses
    if any(part.negated for part in parts):
        return (None,)
    if len(asked) < len(parts):
        raise problems.overlapping_ranges()
    ranges = sorted(((_bytes(clause), clause) for clause in asked), key=lambda pair: pair[0][0])
    for ((_, end), _), ((start, _), _) in pairwise(ranges):
        if end is None or start < end:
            raise problems.overlapping_ranges()
    return [clause for _, clause in ranges]


def _bytes(clause: KeyClause) -> tuple[bytes, bytes | None]:
    """A clause as a range of sort keys."""
    return sort_range(b"", clause.operator, clause.operands, in_index=False)
