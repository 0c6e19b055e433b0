"""An operation: how its request becomes a plan, and how the plan is executed over the store.

`registry` fills these in for every operation; `pipeline` and `executor` run them and depend on nothing else of any
operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Generic, TypeVar

from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.touches import Plan
from blotter.database.storage import protocol
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

R = TypeVar("R")
P = TypeVar("P", bound=Plan)


class OnConflict(Enum):
    """What happens when an item is part of a transaction under way (`conflicts`)."""

    PROCEED = "nothing: it reads what is committed, or writes after it"
    REFUSE = "a single write: TransactionConflictException"
    CANCEL = "a transaction: TransactionCanceledException; its own items are held if it writes"


class Reading(Generic[P]):
    """One short read, executed at once."""

    __slots__ = ("execute", "on_conflict")

    def __init__(
        self,
        execute: Callable[[P, ReadTransaction, Context], Result],
        on_conflict: OnConflict = OnConflict.PROCEED,
    ) -> None:
        self.execute = execute
        self.on_conflict = on_conflict


Slices = protocol.Slices[Result]
"""A long read that returns its result."""


class Slicing(Generic[P]):
    """A long read over one snapshot."""

    __slots__ = ("execute",)

    def __init__(self, execute: Callable[[P, ReadTransaction, Context], Slices]) -> None:
        self.execute = execute


class Writing(Generic[P]):
    """A write transaction. The store may run `execute` more than once; only the last run counts."""

    __slots__ = ("execute", "on_conflict")

    def __init__(
        self,
        execute: Callable[[P, WriteTransaction, Context], Result],
        on_conflict: OnConflict = OnConflict.PROCEED,
    ) -> None:
        self.execute = execute
        self.on_conflict = on_conflict


Execution = Reading[Any] | Slicing[Any] | Writing[Any]


class Operation(Generic[R, P]):
    """`prepare(request) -> plan` raises DynamoDBError for what is wrong whatever the store holds. A PartiQL
    operation reads or writes depending on its statements: which of its executions applies follows from the type of
    the plan. `many_expressions`: a request may hold many of them, so that a small one can take long to prepare."""

    __slots__ = ("_by_plan", "_only", "many_expressions", "name", "prepare")

    def __init__(
        self,
        name: str,
        prepare: Callable[[R], P],
        execution: Reading[P] | Slicing[P] | Writing[P] | Mapping[type[Plan], Execution],
        *,
        many_expressions: bool = False,
    ) -> None:
        self.name = name
        self.many_expressions = many_expressions
        self.prepare = prepare
        self._only: Execution | None = None
        self._by_plan: Mapping[type[Plan], Execution] = {}
        if isinstance(execution, (Reading, Slicing, Writing)):
            self._only = execution
        else:
            self._by_plan = execution

    def after(self, check: Callable[[], None]) -> Operation[R, P]:
        """The same operation, which is prepared only after `check`, which may raise DynamoDBError."""

        def prepare(request: R) -> P:
            check()
            return self.prepare(request)

        execution = self._only if self._only is not None else self._by_plan
        return Operation(self.name, prepare, execution, many_expressions=self.many_expressions)

    def execution(self, plan: P) -> Execution:
        return self._only if self._only is not None else self._by_plan[type(plan)]
