"""Compiles AWS's service descriptions into what the server needs, so that it never imports botocore.

Reads botocore's models of DynamoDB and DynamoDB Streams and writes, beside each other in `database/wire/`:
`service_model.json`, every shape an operation's input can reach with its constraints (for the exact validator),
and `requests.py`, one frozen msgspec Struct for each input (for the fast decoder). Both carry the same
constraints, so the fast decoder refuses exactly what the validator has messages for. For each other service of
`SERVICES` it writes `database/services/models/<name>.json`: protocols, names of operations, and the shapes of
what the implemented ones take and answer. The public description leaves some constraints out and lists
enumerations and members in another order than the service reports them; `CONSTRAINTS`, `ENUM_ORDER` and
`MEMBER_ORDER` below add what was observed on the service (conformance suite nubo-db/dynamodb-conformance;
dynalite's recorded tests).

Run `python scripts/compile_service_model.py` after upgrading botocore; `--check` only compares.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import botocore

DATABASE = Path(__file__).resolve().parent.parent / "src" / "blotter" / "database"
WIRE = DATABASE / "wire"
MODELS = ("dynamodb", "dynamodbstreams")

IAM_OPERATIONS = (
    # Users, groups, roles, access keys
    *("CreateUser", "GetUser", "ListUsers", "UpdateUser", "DeleteUser"),
    *("CreateGroup", "GetGroup", "ListGroups", "UpdateGroup", "DeleteGroup"),
    *("AddUserToGroup", "RemoveUserFromGroup", "ListGroupsForUser"),
    *("CreateRole", "GetRole", "ListRoles", "UpdateRole", "UpdateRoleDescription", "DeleteRole"),
    "UpdateAssumeRolePolicy",
    *("CreateAccessKey", "ListAccessKeys", "UpdateAccessKey", "DeleteAccessKey", "GetAccessKeyLastUsed"),
    # Policies
    *("CreatePolicy", "GetPolicy", "ListPolicies", "DeletePolicy", "ListEntitiesForPolicy"),
    *("CreatePolicyVersion", "GetPolicyVersion", "ListPolicyVersions", "DeletePolicyVersion"),
    "SetDefaultPolicyVersion",
    *("PutUserPolicy", "GetUserPolicy", "ListUserPolicies", "DeleteUserPolicy"),
    *("PutGroupPolicy", "GetGroupPolicy", "ListGroupPolicies", "DeleteGroupPolicy"),
    *("PutRolePolicy", "GetRolePolicy", "ListRolePolicies", "DeleteRolePolicy"),
    *("AttachUserPolicy", "DetachUserPolicy", "ListAttachedUserPolicies"),
    *("AttachGroupPolicy", "DetachGroupPolicy", "ListAttachedGroupPolicies"),
    *("AttachRolePolicy", "DetachRolePolicy", "ListAttachedRolePolicies"),
    *("PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary"),
    *("PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary"),
    # Tags
    *("TagUser", "UntagUser", "ListUserTags", "TagRole", "UntagRole", "ListRoleTags"),
    *("TagPolicy", "UntagPolicy", "ListPolicyTags"),
    # The account, simulation
    *("GetAccountSummary", "GetAccountAuthorizationDetails"),
    *("SimulateCustomPolicy", "SimulatePrincipalPolicy"),
    *("GetContextKeysForCustomPolicy", "GetContextKeysForPrincipalPolicy"),
    # Kinds of things of which there is none
    *("GetLoginProfile", "DeleteLoginProfile", "ListAccountAliases", "ListInstanceProfiles"),
    *("ListInstanceProfilesForRole", "ListMFADevices", "ListOpenIDConnectProviders", "ListSAMLProviders"),
    *("ListSSHPublicKeys", "ListServerCertificates", "ListServiceSpecificCredentials"),
    *("ListSigningCertificates", "ListVirtualMFADevices"),
)

CLOUDWATCH_OPERATIONS = (
    *("GetMetricData", "GetMetricStatistics", "ListMetrics", "PutMetricData"),
    *("PutMetricAlarm", "DescribeAlarms", "DescribeAlarmsForMetric", "DescribeAlarmHistory", "DeleteAlarms"),
    *("SetAlarmState", "EnableAlarmActions", "DisableAlarmActions"),
    *("TagResource", "UntagResource", "ListTagsForResource"),
    *("DescribeInsightRules", "GetInsightRuleReport"),
)

AUTOSCALING_OPERATIONS = (
    *("RegisterScalableTarget", "DescribeScalableTargets", "DeregisterScalableTarget"),
    *("PutScalingPolicy", "DescribeScalingPolicies", "DeleteScalingPolicy"),
    *("PutScheduledAction", "DescribeScheduledActions", "DeleteScheduledAction"),
    *("DescribeScalingActivities", "TagResource", "UntagResource", "ListTagsForResource"),
)

# The other services: name in the credential's scope → directory in botocore, version, implemented operations.
SERVICES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "sts": (
        "sts",
        "2011-06-15",
        ("AssumeRole", "GetAccessKeyInfo", "GetCallerIdentity", "GetFederationToken", "GetSessionToken"),
    ),
    "iam": ("iam", "2010-05-08", IAM_OPERATIONS),
    "cloudtrail": ("cloudtrail", "2013-11-01", ("LookupEvents",)),
    "monitoring": ("cloudwatch", "2010-08-01", CLOUDWATCH_OPERATIONS),
    "application-autoscaling": ("application-autoscaling", "2016-02-06", AUTOSCALING_OPERATIONS),
}

# What stands before the names of errors in the answers of services that were recorded (LocalStack's snapshots of
# CloudWatch, 2025-09).
ERROR_NAMESPACES = {"monitoring": "com.amazonaws.cloudwatch.v2010_08_01#"}

# The order in which a service lists the values in "Member must satisfy enum value set"; shapes that are not named
# have the published order. Recorded in the same snapshots.
SERVICE_ENUM_ORDER: dict[str, list[str]] = {"StateValue": ["INSUFFICIENT_DATA", "ALARM", "OK"]}

Shape = dict[str, Any]

TABLE_NAME_PATTERN = "[a-zA-Z0-9_.-]+"

# What the service enforces in addition to or instead of the published constraints, by the name of the shape. The
# shape of each member stands in `service_model.json`: `Limit` of `ListTablesInput` is a `ListTablesInputLimit`.
CONSTRAINTS: dict[str, Shape] = {
    # What is no integer of 32 bits is refused by the strict deserializer (`wire.strict`).
    "TopKInteger": {"max": (1 << 31) - 1},
    # A name, or the ARN of a table; only a name is held to the pattern and to 255 characters.
    # The name of an attribute with a value is checked with the item; elsewhere the constraint stands.
    "AttributeName": {"max": None},
    "AttributeNameList": {"member": "LimitedAttributeName"},
    "ExpressionAttributeNameMap": {"value": "LimitedAttributeName"},
    "LimitedAttributeName": {"type": "string", "max": 65535},
    # Where tables are managed an empty name is too short and does not match (ack-api-quirks, DDB-TABLE-457); where
    # items are, it has a message of its own (conformance suites; moto's tests verified against us-east-1).
    "TableArn": {"min": 3, "min_of_empty": 1, "max": 255, "pattern": TABLE_NAME_PATTERN, "arn": True},
    "ManagedTableArn": {"type": "string", "min": 3, "max": 255, "pattern": TABLE_NAME_PATTERN, "arn": True},
    "OnlyTableArn": {"type": "string", "min": 1, "max": 1024},
    "NewTableName": {"type": "string", "min": 3, "max": 255, "pattern": TABLE_NAME_PATTERN},
    "TableKeySchema": {"type": "list", "member": "KeySchemaElement", "min": 1, "max": 2},
    "IndexKeySchema": {"type": "list", "member": "KeySchemaElement", "min": 1, "max": 8},
    # How many keys or writes a request may have in all is checked in `validation/batches.py`, with messages of its
    # own. How many each table may have is a limit of its list: `KeyList`; of writes, of the map that holds them.
    "BatchGetRequestMap": {"min": None, "max": None, "key": "BatchTableName"},
    "BatchWriteItemRequestMap": {
        "min": None,
        "max": None,
        "key": "BatchTableName",
        "values": {"max": 25, "min": 1},
    },
    "BatchTableName": {"type": "string", "min": 3, "max": 255, "pattern": TABLE_NAME_PATTERN, "arn": True},
    "WriteRequests": {"min": None, "max": None},
    "KMSMasterKeyId": {"min": 1},
    # The service requires the token that SDKs make (ScyllaDB's tests of imports, run on AWS in 2026).
    "ImportTableInput": {
        "required": ["ClientToken", "S3BucketSource", "InputFormat", "TableCreationParameters"],
    },
    # Tags are checked by `validation.tags`, which has messages of its own for them (ack-api-quirks,
    # DDB-TABLE-107).
    "Tag": {"required": []},
    "TagKeyString": {"min": None, "max": None},
    "TagValueString": {"min": None, "max": None},
}

# Members whose shape differs from the published one.
MEMBER_SHAPES: dict[tuple[str, str], str] = {
    ("CreateTableInput", "TableName"): "NewTableName",
    **{
        (f"{operation}Input", "TableName"): "ManagedTableArn"
        for operation in ("DescribeTable", "UpdateTable", "DeleteTable", "DescribeTimeToLive", "UpdateTimeToLive")
    },
    # Where only an ARN is meant, `validation` has messages of its own for what is none.
    ("ExportTableToPointInTimeInput", "TableArn"): "OnlyTableArn",
    ("ListExportsInput", "TableArn"): "OnlyTableArn",
    ("CreateTableInput", "KeySchema"): "TableKeySchema",
    ("TableCreationParameters", "TableName"): "NewTableName",
    ("TableCreationParameters", "KeySchema"): "TableKeySchema",
    ("GlobalSecondaryIndex", "KeySchema"): "IndexKeySchema",
    ("LocalSecondaryIndex", "KeySchema"): "TableKeySchema",
    ("CreateGlobalSecondaryIndexAction", "KeySchema"): "IndexKeySchema",
}

# The order in which the service lists the values in "Member must satisfy enum value set".
ENUM_ORDER: dict[str, list[str]] = {
    "AttributeAction": ["ADD", "DELETE", "PUT"],
    "ComparisonOperator": [
        *("IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL"),
        *("NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"),
    ],
    "ConditionalOperator": ["OR", "AND"],
    "InputCompressionType": ["ZSTD", "NONE", "GZIP"],
    "ProjectionType": ["ALL", "INCLUDE", "KEYS_ONLY"],
    "ReturnValue": ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"],
    "ScalarAttributeType": ["B", "N", "S"],
    "Select": ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"],
    # As Kinesis lists the same values, recorded in mhart/kinesalite.
    "ShardIteratorType": [
        *("AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"),
    ],
    "StreamViewType": ["OLD_IMAGE", "KEYS_ONLY", "NEW_AND_OLD_IMAGES", "NEW_IMAGE"],
}

# The order in which the service reports violations; members not named follow in the published order.
MEMBER_ORDER: dict[str, list[str]] = {
    "PutItemInput": [
        *("ReturnConsumedCapacity", "TableName", "Item", "ConditionalOperator", "Expected", "ReturnValues"),
        "ReturnItemCollectionMetrics",
    ],
    "GetItemInput": ["ReturnConsumedCapacity", "AttributesToGet", "TableName", "Key"],
    "DeleteItemInput": [
        *("ReturnConsumedCapacity", "TableName", "ReturnValues", "ReturnItemCollectionMetrics", "Key"),
        *("ConditionalOperator", "Expected"),
    ],
    "UpdateItemInput": [
        *("ReturnConsumedCapacity", "TableName", "ReturnItemCollectionMetrics", "ReturnValues"),
        *("ConditionalOperator", "Key", "Expected", "AttributeUpdates"),
    ],
    "QueryInput": [
        *("Select", "IndexName", "ReturnConsumedCapacity", "QueryFilter", "TableName", "ConditionalOperator"),
        *("AttributesToGet", "Limit", "KeyConditions", "ExclusiveStartKey"),
    ],
    "ScanInput": [
        *("Select", "IndexName", "TotalSegments", "ReturnConsumedCapacity", "TableName", "ConditionalOperator"),
        *("ScanFilter", "Segment", "Limit", "AttributesToGet", "ExclusiveStartKey"),
    ],
    "BatchGetItemInput": ["RequestItems", "ReturnConsumedCapacity"],
    "BatchWriteItemInput": ["ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "RequestItems"],
    "TransactWriteItemsInput": [
        *("ClientRequestToken", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "TransactItems"),
    ],
    "CreateTableInput": [
        *("AttributeDefinitions", "TableName", "BillingMode", "ProvisionedThroughput", "KeySchema"),
        *("GlobalSecondaryIndexes", "LocalSecondaryIndexes"),
    ],
    "AttributeDefinition": ["AttributeType", "AttributeName"],
    "TimeToLiveSpecification": ["AttributeName", "Enabled"],
    "UpdateTableInput": ["TableName", "ProvisionedThroughput", "BillingMode", "GlobalSecondaryIndexUpdates"],
    "GlobalSecondaryIndexUpdate": ["Update", "Create", "Delete"],
    "CreateGlobalSecondaryIndexAction": ["Projection", "IndexName", "ProvisionedThroughput", "KeySchema"],
    "ProvisionedThroughput": ["WriteCapacityUnits", "ReadCapacityUnits"],
    "ListTablesInput": ["Limit", "ExclusiveStartTableName"],
    "Condition": ["ComparisonOperator", "AttributeValueList"],
}

SCALARS = {
    "string": "str",
    "blob": "str",
    "boolean": "bool",
    "integer": "int",
    "long": "int",
    "double": "float",
    "timestamp": "float",
}


def load(model: str, version: str = "2012-08-10") -> Shape:
    """One of botocore's service descriptions."""
    path = resources.files(botocore) / "data" / model / version / "service-2.json.gz"
    loaded: Shape = json.loads(gzip.decompress(path.read_bytes()))
    return loaded


def compile_model() -> Shape:
    """Operations by target prefix and name, and the shapes their inputs reach."""
    operations: dict[str, dict[str, str]] = {}
    shapes: dict[str, Shape] = {}
    for model in map(load, MODELS):
        prefix = model["metadata"]["targetPrefix"]
        operations[prefix] = {}
        for name, operation in sorted(model["operations"].items()):
            input_name = f"{name}Input"
            published = operation["input"]["shape"]
            operations[prefix][name] = input_name
            # One Struct for each operation, even where two share a shape.
            _reach(model["shapes"], published, shapes, name=input_name)
    # Streams' published minimum for Limit is that of the other service; both agree on everything else.
    return {"botocore": botocore.__version__, "operations": operations, "shapes": dict(sorted(shapes.items()))}


def _reach(
    published: dict[str, Shape], name_there: str, shapes: dict[str, Shape], name: str | None = None
) -> None:
    """Adds a shape and everything it refers to, each trimmed to what matters and with our corrections."""
    name = name or name_there
    shape = _trim(name, published.get(name_there, {}))
    known = shapes.get(name)
    if known is not None:
        if known != shape:
            raise SystemExit(f"the models disagree on the shape {name}")
        return
    shapes[name] = shape
    for member in (
        *shape.get("members", {}).values(),
        *(shape[key] for key in ("member", "key", "value") if key in shape),
    ):
        _reach(published, member, shapes)


def _trim(name: str, shape: Shape) -> Shape:
    trimmed: Shape = {
        key: shape[key]
        for key in ("type", "required", "min", "max", "pattern")
        if shape.get(key) not in (None, [])
    }
    if "enum" in shape:
        order: list[str] = ENUM_ORDER.get(name) or shape["enum"]
        if sorted(order) != sorted(shape["enum"]):
            raise SystemExit(f"ENUM_ORDER of {name} is out of date: {shape['enum']}")
        trimmed["enum"] = order
    if "members" in shape:
        first = MEMBER_ORDER.get(name, [])
        names = [*first, *(member for member in shape["members"] if member not in first)]
        trimmed["members"] = {
            member: MEMBER_SHAPES.get((name, member), shape["members"][member]["shape"]) for member in names
        }
    for key in ("member", "key", "value"):
        if key in shape:
            trimmed[key] = shape[key]["shape"]
    trimmed |= CONSTRAINTS.get(name, {})
    return {key: value for key, value in trimmed.items() if value is not None}


def compile_service(name: str) -> Shape:
    """The model of a service of `SERVICES`, as `blotter.database.services.model.Model` reads it."""
    directory, version, implemented = SERVICES[name]
    published = load(directory, version)
    metadata = published["metadata"]
    shapes: dict[str, Shape] = {}
    operations: dict[str, Shape] = {}
    for operation, described in sorted(published["operations"].items()):
        operations[operation] = {}
        if operation in implemented:
            for side in ("input", "output"):
                if side in described:
                    operations[operation][side] = described[side]["shape"]
                    _reach_service_shape(published["shapes"], described[side]["shape"], shapes)
            operations[operation]["implemented"] = True
            if "resultWrapper" in described.get("output", {}):
                operations[operation]["wrapper"] = described["output"]["resultWrapper"]
    return {
        "botocore": botocore.__version__,
        "title": metadata["serviceFullName"],
        "scope": name,
        "version": metadata["apiVersion"],
        "protocols": metadata["protocols"],
        "namespace": metadata.get("xmlNamespace", ""),
        "target": metadata.get("targetPrefix", ""),
        "json_version": metadata.get("jsonVersion", "1.0"),
        "query_compatible": "awsQueryCompatible" in metadata,
        "error_namespace": ERROR_NAMESPACES.get(name, ""),
        "errors": _query_errors(published) if "awsQueryCompatible" in metadata and implemented else {},
        "operations": operations,
        "shapes": dict(sorted(shapes.items())),
    }


def _query_errors(published: Shape) -> dict[str, str]:
    """The codes that a service's errors have in the query protocol, by their shapes."""
    return {
        name: shape.get("error", {}).get("code", name)
        for name, shape in sorted(published["shapes"].items())
        if shape.get("exception")
    }


def _reach_service_shape(published: dict[str, Shape], name: str, shapes: dict[str, Shape]) -> None:
    """Adds a shape of a request or an answer, and those that it is made of."""
    if name in shapes:
        return
    shape = published[name]
    kept = ("type", "required", "min", "max", "pattern", "enum", "members", "member", "key", "value")
    trimmed: Shape = {key: shape[key] for key in kept if shape.get(key) not in (None, [], {})}
    if shape.get("flattened"):
        raise SystemExit(f"services have no {shape['type']} of this form yet: {name}")
    for key in ("member", "key", "value"):
        if key in trimmed:
            trimmed[key] = trimmed[key]["shape"]
    if "enum" in trimmed:
        trimmed["enum"] = SERVICE_ENUM_ORDER.get(name, trimmed["enum"])
    if "members" in trimmed:
        if any(target.get("locationName", member) != member for member, target in trimmed["members"].items()):
            raise SystemExit(f"a member of {name} has another name on the wire")
        trimmed["members"] = {member: target["shape"] for member, target in trimmed["members"].items()}
    shapes[name] = trimmed
    for target in (
        *trimmed.get("members", {}).values(),
        *(trimmed[key] for key in ("member", "key", "value") if key in trimmed),
    ):
        _reach_service_shape(published, target, shapes)


def render_service(model: Shape) -> str:
    """The JSON file of a service: one line for each member, operation and shape, so that a diff shows what
    changed."""
    apart = ("operations", "shapes")
    lines = [f"{json.dumps(key)}:{_compact(value)}" for key, value in model.items() if key not in apart]
    for key in apart:
        entries = (f"{json.dumps(name)}:{_compact(value)}" for name, value in model[key].items())
        lines.append(f'"{key}":{{\n' + ",\n".join(entries) + "}")
    return "{\n" + ",\n".join(lines) + "}\n"


def render_model(model: Shape) -> str:
    """The JSON file: one line for each operation group and shape, so that a diff shows what changed."""
    lines = [f'"botocore":{json.dumps(model["botocore"])},']
    lines.append('"operations":{')
    groups = [f"{json.dumps(prefix)}:{_compact(names)}" for prefix, names in model["operations"].items()]
    lines.append(",\n".join(groups) + "},")
    lines.append('"shapes":{')
    lines.append(
        ",\n".join(f"{json.dumps(name)}:{_compact(shape)}" for name, shape in model["shapes"].items()) + "}"
    )
    return "{\n" + "\n".join(lines) + "}\n"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


REQUESTS_HEAD = '''"""One frozen Struct for the input of every operation: what a well-formed request decodes into.

GENERATED by scripts/compile_service_model.py from botocore {version}'s service description; do not edit.
Members that were not sent are None. Attribute values stay plain dicts, typed for the decoder only. What these
types refuse goes to the exact validator (`wire.decode`), which has AWS's message for it.
"""

# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from blotter.database.model.values import AttributeValue
else:

    class AttributeValue(TypedDict, total=False):
        S: str
        N: str
        B: str
        BOOL: bool
        NULL: bool
        M: dict[str, AttributeValue]
        L: list[AttributeValue]
        SS: list[str]
        NS: list[str]
        BS: list[str]


'''


def render_requests(model: Shape) -> str:
    """The Python module of Structs, in an order in which every name is defined before it is used."""
    shapes = model["shapes"]
    written: list[str] = []
    parts: list[str] = []

    def write(name: str) -> None:
        if name in written or name == "AttributeValue":
            return
        written.append(name)
        shape = shapes[name]
        for member in shape.get("members", {}).values():
            write(member)
        for key in ("member", "key", "value"):
            if key in shape:
                write(shape[key])
        if shape["type"] == "structure":
            parts.append(_struct(name, shape, shapes))

    for names in model["operations"].values():
        for name in names.values():
            write(name)
    table = "".join(
        f'    "{operation}": {name},\n'
        for names in model["operations"].values()
        for operation, name in names.items()
    )
    inputs = f"INPUTS: dict[str, type[Struct]] = {{\n{table}}}\n"
    return REQUESTS_HEAD.format(version=model["botocore"]) + "\n\n".join([*parts, inputs])


def _struct(name: str, shape: Shape, shapes: dict[str, Shape]) -> str:
    required = shape.get("required", [])
    lines = [f"class {name}(Struct, frozen=True, kw_only=True):"]
    for member, target in shape["members"].items():
        optional = "" if member in required else " | None = None"
        lines.append(f"    {member}: {_type(target, shapes)}{optional}")
    if not shape["members"]:
        lines.append("    pass")
    return "\n".join(lines) + "\n"


def _type(name: str, shapes: dict[str, Shape]) -> str:
    if name == "AttributeValue":
        return name
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        return name
    if "enum" in shape:
        return f"Literal[{', '.join(map(json.dumps, shape['enum']))}]"
    if kind == "list":
        plain, low, high = f"list[{_type(shape['member'], shapes)}]", "min_length", "max_length"
    elif kind == "map":
        value = _type(shape["value"], shapes)
        if "values" in shape:
            value = _annotated(value, {"min_length": shape["values"]["min"], "max_length": shape["values"]["max"]})
        plain, low, high = f"dict[{_type(shape['key'], shapes)}, {value}]", "min_length", "max_length"
    elif kind == "string":
        plain, low, high = "str", "min_length", "max_length"
    else:
        plain, low, high = SCALARS[kind], "ge", "le"
    if shape.get("arn"):
        either = f"^(?:{shape['pattern'][:-1]}{{{shape['min']},{shape['max']}}}|arn:.{{1,1020}})$"
        return _annotated(plain, {"pattern": either})
    constraints: dict[str, Any] = {low: shape.get("min"), high: shape.get("max")}
    # An empty bound is none; msgspec searches, AWS matches the whole value.
    if constraints[low] == 0 and low == "min_length":
        constraints[low] = None
    pattern = shape.get("pattern")
    if pattern is not None and _portable(pattern):
        constraints["pattern"] = f"^(?:{pattern})$"
    return _annotated(plain, constraints)


def _portable(pattern: str) -> bool:
    """Whether a Java pattern means the same to Python; the few others are the exact validator's."""
    return "\\p{" not in pattern and "\\uD7FF" not in pattern


def _annotated(plain: str, constraints: dict[str, Any]) -> str:
    given = ", ".join(f"{key}={_literal(value)}" for key, value in constraints.items() if value is not None)
    return f"Annotated[{plain}, Meta({given})]" if given else plain


def _literal(value: object) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is committed instead of writing")
    check = parser.parse_args().check
    model = compile_model()
    outputs = {WIRE / "service_model.json": render_model(model), WIRE / "requests.py": render_requests(model)}
    for name in SERVICES:
        outputs[DATABASE / "services" / "models" / f"{name}.json"] = render_service(compile_service(name))
    stale = [path for path, text in outputs.items() if not path.exists() or path.read_text() != text]
    if check:
        for path in stale:
            print(f"{path.name} is out of date; run scripts/compile_service_model.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(outputs[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
