"""Updates: an item in, a new item out.

Every operand is read from the item as it was before the update, so the order of actions does not matter. The old
item and its values stay as they are; the new item shares what did not change (`nested_targets` for paths inside
documents). The work is bounded by the size an item may have: an update of many actions stops when their results
alone are larger.

The fast path raises at the first thing wrong; then `_first_error` looks again for the one that AWS reports.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html;
messages in dynalite's tests (updateItem.js); list behavior and returned values in ScyllaDB Alternator's tests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from blotter.database.expressions import problems
from blotter.database.expressions.memo import MemoItem
from blotter.database.expressions.nested_targets import is_writable, nested_targets, parent, rebuilt
from blotter.database.expressions.paths import getter, head, nested_names, resolve
from blotter.database.expressions.problems import ResolvedPath
from blotter.database.expressions.projection import Projection
from blotter.database.expressions.syntax import (
    Action,
    Arithmetic,
    Call,
    Operand,
    Path,
    UpdateKeyword,
    UpdateTree,
    Value,
)
from blotter.database.expressions.update_charge import FREE, Charge, charge_of
from blotter.database.model import numbers
from blotter.database.model.errors import DynamoDBError, item_too_large, parameter_error
from blotter.database.model.size import MAX_ITEM_SIZE, binary_size, value_size
from blotter.database.model.values import AttributeValue, Item, set_difference, set_union

Values: TypeAlias = Mapping[str, AttributeValue]
Names: TypeAlias = Mapping[str, str]

Compute: TypeAlias = Callable[[Item, Values], AttributeValue | None]
"""The value an action leaves at its path; None for nothing."""
Evaluate: TypeAlias = Callable[[Item, Values], AttributeValue]


class CompiledAction:
    """One action with its path resolved. `reads` are the paths of its operands, `given` is the placeholder of a
    value that it takes from the request as it is, or an example of the only type that it can compute."""

    __slots__ = ("compute", "given", "keyword", "path", "reads", "section")

    def __init__(
        self,
        keyword: UpdateKeyword,
        path: ResolvedPath,
        compute: Compute,
        section: int = 0,
        reads: tuple[ResolvedPath, ...] = (),
        given: str | AttributeValue | None = None,
    ) -> None:
        self.given = given
        self.keyword = keyword
        self.path = path
        self.compute = compute
        self.section = section
        self.reads = reads


class UpdateProgram:
    """The compiled actions of an update, whatever the request's values."""

    __slots__ = ("actions", "charge", "flat", "given", "names", "nested", "nested_names", "projection", "steps")

    def __init__(self, actions: Iterable[CompiledAction], charge: Charge = FREE) -> None:
        self.actions = tuple(actions)
        self.charge = charge
        self.steps = tuple(action.compute for action in self.actions)
        self.flat = tuple((number, head(a.path)) for number, a in enumerate(self.actions) if len(a.path) == 1)
        self.nested = nested_targets(action.path for action in self.actions)
        self.names = frozenset(head(action.path) for action in self.actions)
        self.given = tuple(
            (head(a.path), a.given) for a in self.actions if a.given is not None and len(a.path) == 1
        )
        paths = (path for action in self.actions for path in (action.path, *action.reads))
        self.nested_names = nested_names(paths)
        self.projection = Projection(action.path for action in self.actions)


class Update:
    """A compiled UpdateExpression or AttributeUpdates, with the request's values."""

    __slots__ = ("_program", "_values")

    def __init__(self, program: UpdateProgram, values: Values) -> None:
        self._program = program
        self._values = values

    @property
    def paths(self) -> tuple[ResolvedPath, ...]:
        """The paths it writes to, in the order of the text."""
        return tuple(action.path for action in self._program.actions)

    @property
    def written_names(self) -> frozenset[str]:
        """The attributes it writes to."""
        return self._program.names

    @property
    def top_level_names(self) -> frozenset[str]:
        """The attributes it writes to or reads from: one that is copied into another is read."""
        actions = self._program.actions
        return frozenset(head(path) for action in actions for path in (action.path, *action.reads))

    @property
    def nested_names(self) -> tuple[str, ...]:
        """The top-level attributes it looks inside of, written or read, in the order of the text."""
        return self._program.nested_names

    @property
    def given(self) -> Item:
        """What is known of the new item without the old one: the attributes that it sets, adds to or takes
        from, with the request's values for them, or with an example of the type that they will have."""
        values = self._values
        return {name: values[g] if isinstance(g, str) else g for name, g in self._program.given}

    @property
    def charge(self) -> int:
        """The size of the statement itself in bytes, for UpdateItem's limit; 0 for AttributeUpdates."""
        constant, placeholders = self._program.charge
        values = self._values
        return constant + sum([value_size(values[placeholder]) for placeholder in placeholders])

    @property
    def creates(self) -> bool:
        """Whether it may create an item: REMOVE and DELETE alone leave nothing where nothing was; an
        update without any action, which only AttributeUpdates can ask for, makes an item of its key."""
        actions = self._program.actions
        return not actions or any(action.keyword in ("SET", "ADD") for action in actions)

    def refuse_keys(self, keys: Iterable[str]) -> None:
        """Raises ValidationException when a key attribute would be written."""
        if self._program.names.isdisjoint(keys):
            return
        names = set(keys)
        for path in self.paths:
            if path[0] in names:
                raise parameter_error(f"Cannot update attribute {path[0]}. This attribute is part of the key")

    def apply(self, item: Item) -> Item:
        """The item after the update; `item` holds at least the key attributes when there was none.

        Raises ValidationException when the item lacks what the update reads or has it in another type, and
        ItemTooLarge when the results are larger than an item may be.
        """
        program, values = self._program, self._values
        try:
            steps = program.steps
            if len(steps) <= FEW_ACTIONS:
                results = [compute(item, values) for compute in steps]
            else:
                results = _bounded(steps, MemoItem(item), values)
            updated = dict(item)
            for number, name in program.flat:
                result = results[number]
                if result is not None:
                    updated[name] = result
                else:
                    updated.pop(name, None)
            for name, node in program.nested.items():
                updated[name] = rebuilt(item.get(name), node, results)
        except ItemTooLarge:
            raise
        except DynamoDBError as error:
            raise self._first_error(item, error) from None
        return updated

    def updated_new(self, old: Item, new: Item) -> Item:  # noqa: ARG002 - both images, as for updated_old
        """UPDATED_NEW: the values at the written paths after the update. Empty when AWS sends no Attributes."""
        return self._program.projection.project(new)

    def updated_old(self, old: Item, new: Item) -> Item:  # noqa: ARG002
        """UPDATED_OLD: what stood at the written paths before."""
        return self._program.projection.project(old)

    def _first_error(self, item: Item, fallback: DynamoDBError) -> DynamoDBError:
        """The error AWS reports: parents of the wrong kind, then wrong types, then, from the last section to the
        first, missing parents and missing attributes; numbers out of range at the end."""
        actions = self._program.actions
        for action in actions:
            if parent(action.path, item) is not None and not is_writable(action.path, item):
                return problems.invalid_update_path()
        failures: dict[int, DynamoDBError] = {}
        memo, produced = MemoItem(item), 0
        for number, action in enumerate(actions):
            try:
                produced += _least_size(action.compute(memo, self._values))
                if produced > MAX_ITEM_SIZE:
                    raise ItemTooLarge
            except ItemTooLarge as error:
                return error
            except _WrongType as error:
                return error.error
            except DynamoDBError as failure:
                failures[number] = failure
        for section in sorted({action.section for action in actions}, reverse=True):
            numbered = [(number, action) for number, action in enumerate(actions) if action.section == section]
            if any(not is_writable(action.path, item) for _, action in numbered):
                return problems.invalid_update_path()
            for number, _ in numbered:
                if isinstance(failures.get(number), _Missing):
                    return problems.missing_attribute()
        return next(iter(failures.values()), fallback)


FEW_ACTIONS = 8
"""An update of so few actions is computed without counting."""


class ItemTooLarge(DynamoDBError):
    """What an update makes cannot be an item, whatever else it does."""

    def __init__(self) -> None:
        error = item_too_large(update=True)
        super().__init__(error.code, error.message)


def _bounded(steps: Sequence[Compute], item: Item, values: Values) -> list[AttributeValue | None]:
    """The results of many actions. Raises ItemTooLarge as soon as they are larger together than an item may be:
    their paths do not overlap, so that all of them would be part of it."""
    results: list[AttributeValue | None] = []
    produced = 0
    for compute in steps:
        result = compute(item, values)
        produced += _least_size(result)
        if produced > MAX_ITEM_SIZE:
            raise ItemTooLarge
        results.append(result)
    return results


def _least_size(value: AttributeValue | None) -> int:
    """A lower bound of a value's size in bytes, without looking at its members."""
    if value is None:
        return 0
    ((type_, content),) = value.items()
    return binary_size(content) if type_ == "B" else len(content) if isinstance(content, str | list | dict) else 1


class _Missing(DynamoDBError):
    """An operand's attribute is not in the item."""


class _WrongType(DynamoDBError):
    """An operand's attribute has a type that the action cannot use."""

    @property
    def error(self) -> DynamoDBError:
        return problems.wrong_operand_in_item()


# Compiling


def compile_update(tree: UpdateTree, names: Names) -> UpdateProgram:
    actions = (
        _compile_action(action, number, names)
        for number, section in enumerate(tree.sections)
        for action in section.actions
    )
    return UpdateProgram(actions, charge_of(tree, names))


def _compile_action(action: Action, section: int, names: Names) -> CompiledAction:
    path = resolve(action.path, names)
    if action.value is None:
        return CompiledAction("REMOVE", path, _nothing, section)
    if action.keyword == "SET":
        reads = tuple(_paths_read(action.value, names))
        given = action.value.name if isinstance(action.value, Value) else _example(action.value)
        return CompiledAction("SET", path, _compile_assigned(action.value, names), section, reads, given)
    placeholder = action.value.name if isinstance(action.value, Value) else ""
    compute = _change_of(action.keyword, path, placeholder)
    return CompiledAction(action.keyword, path, compute, section, given=placeholder)


def _example(value: Operand | Arithmetic) -> AttributeValue | None:
    if isinstance(value, Arithmetic):
        return {"N": "0"}
    return {"L": []} if isinstance(value, Call) and value.function == "list_append" else None


def _nothing(_: Item, __: Values) -> None:
    return None


def _change_of(keyword: UpdateKeyword, path: ResolvedPath, placeholder: str) -> Compute:
    """ADD or DELETE of a request's value at a path."""
    get = getter(path)

    def add(item: Item, values: Values) -> AttributeValue | None:
        return _add(get(item), values[placeholder])

    def delete(item: Item, values: Values) -> AttributeValue | None:
        current = get(item)
        if current is None:
            return None
        ((type_, content),) = values[placeholder].items()
        if isinstance(item, MemoItem):
            content = item.once("members", placeholder, frozenset, content)
        return _delete(current, type_, content)

    return delete if keyword == "DELETE" else add


def _add(current: AttributeValue | None, value: AttributeValue) -> AttributeValue | None:
    if current is None:
        return value
    ((type_, content),) = value.items()
    existing = current.get(type_)
    if existing is None:
        raise _wrong_type()
    if type_ == "N":
        return {"N": numbers.add(existing, content)}
    return {type_: set_union(type_, existing, content)}


def _delete(current: AttributeValue, type_: str, members: Collection[str]) -> AttributeValue | None:
    """What is left of a set; nothing when that is empty, because DynamoDB has no empty sets."""
    existing = current.get(type_)
    if existing is None:
        raise _wrong_type()
    left = set_difference(type_, existing, members)
    return {type_: left} if left else None


def _compile_assigned(value: Operand | Arithmetic, names: Names) -> Evaluate:
    if isinstance(value, Arithmetic):
        return _compile_arithmetic(value, names)
    return _compile_operand(value, names)


def _compile_arithmetic(value: Arithmetic, names: Names) -> Evaluate:
    left, right = _compile_operand(value.left, names), _compile_operand(value.right, names)
    combine = numbers.add if value.operator == "+" else numbers.subtract

    def arithmetic(item: Item, values: Values) -> AttributeValue:
        a, b = left(item, values).get("N"), right(item, values).get("N")
        if a is None or b is None:
            raise _wrong_type()
        return {"N": combine(a, b)}

    return arithmetic


def _compile_operand(operand: Operand, names: Names) -> Evaluate:
    if isinstance(operand, Value):
        placeholder = operand.name
        return lambda _, values: values[placeholder]
    if isinstance(operand, Call):
        return _FUNCTIONS[operand.function](operand, names)
    get = getter(resolve(operand, names))

    def read(item: Item, _: Values) -> AttributeValue:
        value = get(item)
        if value is None:
            raise _missing()
        return value

    return read


def _compile_if_not_exists(call: Call, names: Names) -> Evaluate:
    path, default = call.arguments
    get = getter(resolve(path, names)) if isinstance(path, Path) else getter(("",))
    evaluate_default = _compile_operand(default, names)

    def if_not_exists(item: Item, values: Values) -> AttributeValue:
        value = get(item)
        return evaluate_default(item, values) if value is None else value

    return if_not_exists


def _compile_list_append(call: Call, names: Names) -> Evaluate:
    first, second = (_compile_operand(argument, names) for argument in call.arguments)

    def list_append(item: Item, values: Values) -> AttributeValue:
        a, b = first(item, values).get("L"), second(item, values).get("L")
        if a is None or b is None:
            raise _wrong_type()
        return {"L": [*a, *b]}

    return list_append


_FUNCTIONS: dict[str, Callable[[Call, Names], Evaluate]] = {
    "if_not_exists": _compile_if_not_exists,
    "list_append": _compile_list_append,
}


def _paths_read(value: Operand | Arithmetic, names: Names) -> list[ResolvedPath]:
    if isinstance(value, Path):
        return [resolve(value, names)]
    if isinstance(value, Arithmetic):
        return _paths_read(value.left, names) + _paths_read(value.right, names)
    if isinstance(value, Call):
        return [path for argument in value.arguments for path in _paths_read(argument, names)]
    return []


def _wrong_type() -> _WrongType:
    error = problems.wrong_operand_in_item()
    return _WrongType(error.code, error.message)


def _missing() -> _Missing:
    error = problems.missing_attribute()
    return _Missing(error.code, error.message)
