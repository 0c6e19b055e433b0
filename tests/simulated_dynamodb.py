"""DynamoDB's control plane in memory, for tests of the set-up: states that take time, faults where a test wants.

Time is the test's own (`FakeClock`): nothing waits, and a table CREATING for an hour costs nothing. It implements
what the set-up calls, with DynamoDB's states, and refuses every request that AWS refuses in the present state:
units at an on-demand table, an index without units at a provisioned one, a change that changes nothing. Sources:
the API reference's pages on CreateTable and UpdateTable. Blotter and moto test the same over HTTP. `faults` maps
the number of a call (from 1) to what happens at it: an error before or after it takes effect.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from blotter.tables.calls.failures import OTHER, RULES, SERVER
from blotter.tables.calls.wait import Clock
from blotter.tables.errors import SetupError

ACCOUNT = "111122223333"


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def clock(self, chance: float = 1.0) -> Clock:
        return Clock(lambda: self.time, self._sleep, lambda: chance)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Fault(NamedTuple):
    """What to raise at one call. "before": it never arrived. "after": it took effect, its answer was lost."""

    error: BaseException
    when: Literal["before", "after"] = "before"


def aws_error(code: str, message: str = "as a test wants") -> SetupError:
    """The error the endpoint would raise for AWS's `code`."""
    rule = OTHER if code == "ValidationException" else RULES.get(code, SERVER)
    return SetupError(f"{code}: {message}", rule.exit_code, rule.retry, code)


class SimulatedDynamoDB:
    def __init__(self, clock: FakeClock, delay: float = 5.0, region: str = "us-east-1") -> None:
        self._clock, self._delay, self._region = clock, delay, region
        self.tables: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[int, Fault] = {}
        self.refused: list[str] = []  # requests that were not valid in the state they met
        self.before_call: Callable[[int], None] = lambda _number: None
        self._until: dict[tuple[str, str], float] = {}

    def names(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def writes(self) -> list[str]:
        return [name for name in self.names() if not name.startswith(("Describe", "List", "Get"))]

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> dict[str, Any]:
        self.calls.append((operation, parameters))
        number = len(self.calls)
        self.before_call(number)
        self._settle()
        fault = self.faults.get(number)
        if fault and fault.when == "before":
            raise fault.error
        try:
            answer: dict[str, Any] = getattr(self, f"_{service.replace('-', '_')}_{operation}")(**parameters)
        except SetupError as error:
            if error.code == "ValidationException":
                self.refused.append(f"{operation} {parameters}: {error}")
            raise
        finally:
            if fault:
                raise fault.error
        return copy.deepcopy(answer)

    # --- states

    def _later(self, name: str, part: str = "") -> None:
        self._until[name, part] = self._clock.time + self._delay

    def _settle(self) -> None:
        for (name, part), moment in list(self._until.items()):
            if moment > self._clock.time:
                continue
            del self._until[name, part]
            table = self.tables[name]
            if part:
                index = next(i for i in table["GlobalSecondaryIndexes"] if i["IndexName"] == part)
                if index["IndexStatus"] == "DELETING":
                    table["GlobalSecondaryIndexes"].remove(index)
                index["IndexStatus"] = "ACTIVE"
                table["TableStatus"] = "ACTIVE"
            elif table["TableStatus"] == "DELETING":
                del self.tables[name]
            else:
                table["TableStatus"] = "ACTIVE"

    def _table(self, name: str, *, ready: bool = False) -> dict[str, Any]:
        if name.startswith("arn:"):
            name = name.rpartition("/")[2]
        if name not in self.tables:
            raise aws_error("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        table = self.tables[name]
        if ready and table["TableStatus"] != "ACTIVE":
            raise aws_error("ResourceInUseException", f"{name} is {table['TableStatus']}")
        return table

    # --- DynamoDB

    def _dynamodb_DescribeTable(self, TableName: str) -> dict[str, Any]:  # noqa: N802, N803
        return {"Table": self._table(TableName)}

    def _dynamodb_CreateTable(self, TableName: str, **given: Any) -> dict[str, Any]:  # noqa: N802, N803
        if TableName in self.tables:
            raise aws_error("ResourceInUseException", f"Table already exists: {TableName}")
        indexes = [{**index, "IndexStatus": "CREATING"} for index in given.get("GlobalSecondaryIndexes", [])]
        view, mode = given.get("StreamSpecification"), given["BillingMode"]
        for part in (given, *indexes):
            _check_throughput(mode, part, needed=True)
        self.tables[TableName] = {
            "TableName": TableName,
            "TableId": f"id-{len(self.calls)}",
            "TableArn": f"arn:aws:dynamodb:{self._region}:{ACCOUNT}:table/{TableName}",
            "TableStatus": "CREATING",
            "AttributeDefinitions": given["AttributeDefinitions"],
            "KeySchema": given["KeySchema"],
            "BillingModeSummary": {"BillingMode": mode},
            "ProvisionedThroughput": given.get("ProvisionedThroughput", {}),
            "OnDemandThroughput": given.get("OnDemandThroughput", {}),
            "TableClassSummary": {"TableClass": given.get("TableClass", "STANDARD")},
            "DeletionProtectionEnabled": given.get("DeletionProtectionEnabled", False),
            "GlobalSecondaryIndexes": indexes,
            "LocalSecondaryIndexes": given.get("LocalSecondaryIndexes", []),
            "ItemCount": 0,
            "TableSizeBytes": 0,
            "_tags": {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])},
            "_ttl": False,
            "_pitr": None,
            "_policy": given.get("ResourcePolicy"),
            **({"StreamSpecification": view} if view else {}),
        }
        _check_attributes(self.tables[TableName])
        self._later(TableName)
        for index in indexes:
            self._later(TableName, index["IndexName"])
        return {"TableDescription": self.tables[TableName]}

    def _dynamodb_UpdateTable(self, TableName: str, **given: Any) -> dict[str, Any]:  # noqa: N802, N803
        table = self._table(TableName, ready=True)
        if len(given) > 1 and not {"BillingMode", "GlobalSecondaryIndexUpdates"} & given.keys():
            raise aws_error("ValidationException", "one change at a time")
        if any(index["IndexStatus"] != "ACTIVE" for index in table["GlobalSecondaryIndexes"]):
            raise aws_error("LimitExceededException", "Subscriber limit exceeded: Only 1 online index")
        before, updates = copy.deepcopy(table), given.pop("GlobalSecondaryIndexUpdates", [])
        try:
            self._change(table, updates, **given)
        except SetupError:
            table.clear()
            table |= before
            raise
        table["TableStatus"] = "UPDATING"
        self._later(TableName)
        return {"TableDescription": table}

    def _change(self, table: dict[str, Any], updates: list[dict[str, Any]], **given: Any) -> None:
        mode = given.pop("BillingMode", None)
        if mode is not None:
            _switch(table, mode, given, updates)
        _check_throughput(table["BillingModeSummary"]["BillingMode"], given)
        if given.get("ProvisionedThroughput", 0) == table["ProvisionedThroughput"] and mode is None:
            raise aws_error("ValidationException", "The provisioned throughput for the table will not change.")
        table["AttributeDefinitions"] = given.pop("AttributeDefinitions", table["AttributeDefinitions"])
        for update in updates:
            self._update_index(table, update, switching=mode is not None)
        if any("Create" in update for update in updates):
            _check_attributes(table)
        if "TableClass" in given:
            table["TableClassSummary"] = {"TableClass": given.pop("TableClass")}
        stream = given.pop("StreamSpecification", None)
        if stream and stream["StreamEnabled"] == table.get("StreamSpecification", {}).get("StreamEnabled", False):
            raise aws_error("ValidationException", "Table already has an enabled stream, or none")
        if "OnDemandThroughput" in given:
            table["OnDemandThroughput"] = _maxima(table, given.pop("OnDemandThroughput"))
        table |= given | ({"StreamSpecification": stream} if stream else {})

    def _update_index(self, table: dict[str, Any], update: dict[str, Any], *, switching: bool) -> None:
        ((action, given),) = update.items()
        indexes, name = table["GlobalSecondaryIndexes"], given["IndexName"]
        index = next((index for index in indexes if index["IndexName"] == name), None)
        _check_throughput(table["BillingModeSummary"]["BillingMode"], given, needed=action == "Create")
        if action == "Create":
            if index is not None:
                raise aws_error("ValidationException", f"Index already exists: {name}")
            indexes.append({**given, "IndexStatus": "CREATING", "Backfilling": True})
        elif index is None:
            raise aws_error("ResourceNotFoundException", f"no index {name}")
        else:
            if given.get("ProvisionedThroughput", 0) == index.get("ProvisionedThroughput") and not switching:
                raise aws_error("ValidationException", f"The provisioned throughput for {name} will not change.")
            if "OnDemandThroughput" in given:
                given = given | {"OnDemandThroughput": _maxima(index, given["OnDemandThroughput"])}
            index |= given | {"IndexStatus": "DELETING" if action == "Delete" else "UPDATING"}
        self._later(table["TableName"], name)

    def _dynamodb_DeleteTable(self, TableName: str) -> dict[str, Any]:  # noqa: N802, N803
        table = self._table(TableName, ready=True)
        table["TableStatus"] = "DELETING"
        self._later(TableName)
        return {"TableDescription": table}

    def _dynamodb_DescribeTimeToLive(self, TableName: str) -> dict[str, Any]:  # noqa: N802, N803
        attribute = self._table(TableName)["_ttl"]
        status = {"TimeToLiveStatus": "ENABLED" if attribute else "DISABLED"}
        return {"TimeToLiveDescription": status | ({"AttributeName": attribute} if attribute else {})}

    def _dynamodb_UpdateTimeToLive(self, TableName: str, TimeToLiveSpecification: Any) -> dict[str, Any]:  # noqa: N802, N803
        table, enable = self._table(TableName), TimeToLiveSpecification["Enabled"]
        if enable == bool(table["_ttl"]):
            raise aws_error("ValidationException", "TimeToLive is already enabled/disabled")
        table["_ttl"] = TimeToLiveSpecification["AttributeName"] if enable else False
        return {}

    def _dynamodb_DescribeContinuousBackups(self, TableName: str) -> dict[str, Any]:  # noqa: N802, N803
        days = self._table(TableName)["_pitr"]
        status = {"PointInTimeRecoveryStatus": "ENABLED" if days else "DISABLED"}
        recovery = status | ({"RecoveryPeriodInDays": days} if days else {})
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": recovery}}

    def _dynamodb_UpdateContinuousBackups(  # noqa: N802
        self,
        TableName: str,  # noqa: N803
        PointInTimeRecoverySpecification: Any,  # noqa: N803
    ) -> dict[str, Any]:
        given = PointInTimeRecoverySpecification
        on = given["PointInTimeRecoveryEnabled"]
        self._table(TableName)["_pitr"] = given.get("RecoveryPeriodInDays", 35) if on else None
        return {}

    def _dynamodb_ListTagsOfResource(self, ResourceArn: str, **_: Any) -> dict[str, Any]:  # noqa: N802, N803
        return {"Tags": [{"Key": k, "Value": v} for k, v in self._table(ResourceArn)["_tags"].items()]}

    def _dynamodb_TagResource(self, ResourceArn: str, Tags: Any) -> dict[str, Any]:  # noqa: N802, N803
        self._table(ResourceArn)["_tags"] |= {tag["Key"]: tag["Value"] for tag in Tags}
        return {}

    def _dynamodb_UntagResource(self, ResourceArn: str, TagKeys: list[str]) -> dict[str, Any]:  # noqa: N802, N803
        for key in TagKeys:
            self._table(ResourceArn)["_tags"].pop(key, None)
        return {}

    def _dynamodb_GetResourcePolicy(self, ResourceArn: str) -> dict[str, Any]:  # noqa: N802, N803
        policy = self._table(ResourceArn)["_policy"]
        if policy is None:
            raise aws_error("PolicyNotFoundException", "no policy")
        return {"Policy": policy}

    def _dynamodb_PutResourcePolicy(self, ResourceArn: str, Policy: str) -> dict[str, Any]:  # noqa: N802, N803
        self._table(ResourceArn)["_policy"] = Policy
        return {}

    def _dynamodb_DeleteResourcePolicy(self, ResourceArn: str) -> dict[str, Any]:  # noqa: N802, N803
        self._table(ResourceArn)["_policy"] = None
        return {}


def _check_throughput(mode: str, given: dict[str, Any], *, needed: bool = False) -> None:
    """Units belong to a provisioned table and maxima to an on-demand one, of the table and of each index."""
    other = "OnDemandThroughput" if mode == "PROVISIONED" else "ProvisionedThroughput"
    if other in given:
        raise aws_error("ValidationException", f"{other} cannot be specified when BillingMode is {mode}")
    if needed and mode == "PROVISIONED" and "ProvisionedThroughput" not in given:
        raise aws_error("ValidationException", "ProvisionedThroughput must be specified")


def _check_attributes(table: dict[str, Any]) -> None:
    """Exactly the key attributes of the table and its indexes are defined."""
    parts = [table, *table["GlobalSecondaryIndexes"], *table["LocalSecondaryIndexes"]]
    used = {key["AttributeName"] for part in parts for key in part["KeySchema"]}
    if {definition["AttributeName"] for definition in table["AttributeDefinitions"]} != used:
        raise aws_error("ValidationException", "AttributeDefinitions are not the attributes of the keys")


def _switch(table: dict[str, Any], mode: str, given: dict[str, Any], updates: list[dict[str, Any]]) -> None:
    """To PROVISIONED, the table and each of its indexes need their units in this request."""
    indexes = table["GlobalSecondaryIndexes"]
    if mode == "PROVISIONED":
        told = {update["Update"]["IndexName"] for update in updates if "Update" in update}
        if "ProvisionedThroughput" not in given or told != {index["IndexName"] for index in indexes}:
            raise aws_error("ValidationException", "ProvisionedThroughput must be specified for table and indexes")
    dropped = "OnDemandThroughput" if mode == "PROVISIONED" else "ProvisionedThroughput"
    for part in (table, *indexes):
        part[dropped] = {}
    table["BillingModeSummary"] = {"BillingMode": mode}


def _maxima(part: dict[str, Any], given: dict[str, int]) -> dict[str, int]:
    both = part.get("OnDemandThroughput", {}) | given
    return {side: value for side, value in both.items() if value != -1}
