"""The authorize stage: may the caller do what the plan touches?

    touch → action and resource → the statements that concern them (kept) → their conditions → AWS's refusal

Works on `Plan.touches` and knows no operation by name. What depends on no value of a request is decided once for a
principal, an action and a resource; the usual request costs a look-up. Other requests make the context keys that
their policies ask for, and no others. Nothing is looked up in a table before access to it is allowed, except its
keys and tags when a policy asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from blotter.database.authorization.item_context import is_about_touch, item_context
from blotter.database.http.messages import Request
from blotter.database.model.arns import parse_arn, stream_arn, table_arn
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import Table
from blotter.database.operations.context import Context
from blotter.database.operations.touches import EVERYTHING, Plan, Touch
from blotter.database.security.access_state import AccessState
from blotter.database.security.policy import PolicySet
from blotter.database.security.policy.evaluation import Applicable, narrow
from blotter.database.security.principal import Principal
from blotter.database.security.refusals import denial
from blotter.database.security.request_context import RequestFacts, caller_of, global_context
from blotter.database.storage.at_hand import GoOn, NotAtHand
from blotter.database.storage.protocol import Storage

FindTable = Callable[[str, str, str], "Table | None"]
"""Account, region, name → the table."""

Refuse = Callable[[int, DynamoDBError], None]
"""Of a plan whose parts fail by themselves: the number of a touch, and the error of its part."""

_NOTHING: Final[dict[int, DynamoDBError]] = {}
_MOST_KEPT: Final = 10_000
"""Decisions that are kept; beyond, all are made anew."""
_LONGEST_KEPT: Final = 512
"""Characters of the names of a resource and its index in a request. Longer ones name nothing."""


class Verdict:
    """What is known of an action on a resource by a principal before a request is looked at. `allowed`: whatever
    the request; otherwise `applicable` decides, by the keys of the touch and the global ones."""

    __slots__ = ("allowed", "applicable", "global_keys", "resource", "touch_keys")

    def __init__(self, applicable: Applicable, resource: Resource) -> None:
        constant = applicable.constant
        self.allowed: Final = constant is not None and constant.allowed
        self.applicable: Final = applicable
        self.resource: Final = resource
        self.touch_keys: Final = [key for key in applicable.context_keys if is_about_touch(key)]
        self.global_keys: Final = [key for key in applicable.context_keys if not is_about_touch(key)]


class Resource:
    """A resource as policies see it: `arn`, or "*". `account` owns it; `table` is its table's name, "" without."""

    __slots__ = ("account", "arn", "policy_arn", "region", "table")

    def __init__(self, arn: str, account: str, region: str = "", table: str = "", policy_arn: str = "") -> None:
        self.arn: Final = arn
        self.account: Final = account
        self.region: Final = region
        self.table: Final = table
        self.policy_arn: Final = policy_arn
        """The ARN to which a resource policy may be attached, or ""."""


class Known:
    """The verdicts about one principal. They hold as long as it is the same object: another one is made after each
    change of its policies."""

    __slots__ = ("principal", "verdicts")

    def __init__(self, principal: Principal) -> None:
        self.principal: Final = principal
        self.verdicts: Final[dict[tuple[str, str, str | None, str], Verdict]] = {}


class Authorization:
    """An `Authorize` of the pipeline, used on the event loop only."""

    def __init__(self, state: AccessState, find_table: FindTable) -> None:
        self._state = state
        self._find_table = find_table
        self._known: dict[int, Known] = {}
        self._kept = 0
        state.on_change(self._forget)

    def __call__(self, request: Request, context: Context, plan: Plan) -> None:
        """Raises AccessDeniedException for the first touch that is not allowed, unless the parts of the plan fail
        by themselves: then it refuses each part whose touch is not allowed."""
        caller = context.caller
        principal = None if caller is None else caller.principal
        if principal is None:
            raise RuntimeError("a request reached authorization without a principal")
        known = self._known.get(id(principal))
        if known is None or known.principal is not principal:
            known = self._known[id(principal)] = Known(principal)
            self._kept += 1
        region = context.region
        refuse: Refuse | None = None
        refused: dict[int, DynamoDBError] = _NOTHING
        touches = plan.touches()
        for touch in touches:
            verdict = known.verdicts.get((touch.action, touch.resource, touch.index, region))
            if verdict is None:
                verdict = self._first_look(known, touch, region)
            if not verdict.allowed:
                error = self._look_closer(verdict, touch, principal, request, context)
                if error is not None:
                    refuse = getattr(plan, "refuse", None)
                    if refuse is None:
                        raise error
                    refused = {**refused, id(touch): error}
        if refuse is not None:
            _refuse(refuse, touches, refused)

    def _forget(self) -> None:
        self._known = {}
        self._kept = 0

    def _first_look(self, known: Known, touch: Touch, region: str) -> Verdict:
        principal = known.principal
        resource = resource_of(touch, principal.account, region)
        policy = (
            self._state.resource_policy(resource.account, resource.policy_arn) if resource.policy_arn else None
        )
        policies = PolicySet(
            principal.policies, principal.boundary, principal.session_policies, policy, resource.account
        )
        verdict = Verdict(narrow(caller_of(principal), touch.action, resource.arn, policies), resource)
        if len(touch.resource) + len(touch.index or "") <= _LONGEST_KEPT:
            if self._kept >= _MOST_KEPT:
                self._forget()
                self._known[id(principal)] = known
                known.verdicts.clear()
            known.verdicts[(touch.action, touch.resource, touch.index, region)] = verdict
            self._kept += 1
        return verdict

    def _look_closer(
        self, verdict: Verdict, touch: Touch, principal: Principal, request: Request, context: Context
    ) -> DynamoDBError | None:
        """Decides with the request's own values; the refusal, if it is one."""
        applicable, resource = verdict.applicable, verdict.resource
        decision = applicable.constant
        if decision is None:
            values: dict[str, tuple[str, ...]] = {}
            if verdict.touch_keys:
                values = item_context(touch, context.operation, verdict.touch_keys, lambda: self._table(resource))
            if verdict.global_keys:
                facts = RequestFacts(principal, request, context.region, context.now, resource.account)
                values.update(global_context(facts, verdict.global_keys))
            decision = applicable.decide(values)
        if decision.allowed:
            return None
        return DynamoDBError("AccessDeniedException", denial(principal.arn, touch.action, resource.arn, decision))

    def _table(self, resource: Resource) -> Table | None:
        if not resource.table:
            return None
        return self._find_table(resource.account, resource.region, resource.table)


def _refuse(refuse: Refuse, touches: Sequence[Touch], refused: dict[int, DynamoDBError]) -> None:
    """Refuses parts of a plan; `refused` has the errors by the identities of the touches."""
    # From the last one on: a part that is refused touches nothing any more, so those behind it move up.
    for number in range(len(touches) - 1, -1, -1):
        error = refused.get(id(touches[number]))
        if error is not None:
            refuse(number, error)


def table_finder(storage: Storage) -> FindTable:
    """Finds tables by the store's catalog. Raises NotAtHand where the store answers later."""
    found: dict[tuple[str, str, str], Table | None] = {}

    def find(account: str, region: str, name: str) -> Table | None:
        snapshot = storage.read()
        if snapshot is not None:
            with snapshot as tx:
                return tx.find_table(account, region, name)
        wanted = (account, region, name)
        if wanted in found:
            return found[wanted]
        known = dict(found)

        def use(table: Table | None, go_on: GoOn) -> None:
            """For the request that waits, and no other: its next look finds what those before it have found."""
            found.update(known)
            found[wanted] = table
            try:
                go_on()
            finally:
                found.clear()

        raise NotAtHand(lambda tx: tx.find_table(account, region, name), use)

    return find


def resource_of(touch: Touch, account: str, region: str) -> Resource:
    """The resource of a touch: a table is meant by its name in the caller's account and the request's region, or
    by its ARN; a read of an index is about the index."""
    name = touch.resource
    if name == EVERYTHING:
        if touch.action == "dynamodb:ListTables":
            return Resource(table_arn(region, account, "*"), account)
        return Resource(EVERYTHING, account)
    if not name.startswith("arn:"):
        arn = table_arn(region, account, name)
        return Resource(_of_index(arn, touch.index), account, region, name, arn)
    parts = parse_arn(name)
    if parts is None:
        return _other_resource(name, account)
    # Made anew, as policies spell it: the request may have it otherwise, in another partition for one.
    arn = about = table_arn(parts.region, parts.account, parts.table)
    if parts.stream is not None:
        arn = about = stream_arn(parts.region, parts.account, parts.table, parts.stream)
    elif parts.index_name is not None:
        arn = _of_index(arn, parts.index_name)
    return Resource(_of_index(arn, touch.index), parts.account, parts.region, parts.table, about)


def _other_resource(arn: str, account: str) -> Resource:
    """What is of no table, index or stream: its account is the one that its ARN names."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[2] != "dynamodb":
        return Resource(arn, account)
    return Resource(":".join(("arn", "aws", *parts[2:])), parts[4] or account, parts[3])


def _of_index(arn: str, index: str | None) -> str:
    return arn if index is None else f"{arn}/index/{index}"
