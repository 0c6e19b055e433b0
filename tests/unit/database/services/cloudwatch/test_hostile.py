"""Any input gets an answer or an error that is the client's: never an internal failure, in no protocol."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import cbor2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blotter.database.services.model import Model, Shape, load_model
from tests.cloudwatch_in_process import NOON, PROTOCOLS, CloudWatchInProcess
from tests.examples import examples

MODEL: Model = load_model("monitoring")
OPERATIONS = sorted(name for name, operation in MODEL.operations.items() if operation.implemented)
TARGET = "GraniteServiceVersion20100801"

NUMBERS = st.one_of(
    st.sampled_from([0, 1, 5, 59, 60, 300, 86_400, -1, 1 << 31, 1 << 62, -(1 << 63), 1 << 64, 10**30]),
    st.floats(),
    st.sampled_from([NOON, NOON - 3600, NOON + 1e6, 1e11, -1e11, 1e17, 1e300]),
)
WORDS = [
    *("m", "N", "AWS/DynamoDB", "Sum", "p99", "p100", "TM(10%:90%)", "TS(:)", "PR(:1)", "IQM", "Count", "alarm"),
    *("GreaterThanThreshold", "breaching", "ignore", "ALARM", "OK", "StateUpdate", "TimestampAscending"),
    *(
        "m / m",
        "FILL(m, LINEAR)",
        "IF(m, 1)",
        "TIME_SERIES(5)",
        "SLICE(SORT(METRICS(), AVG, DESC), 0, 1)",
        "-m^m^m",
    ),
    *("arn:aws:sns:us-east-1:1:x", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:m", "${LABEL} ${MAX}", "{}"),
]
TEXTS = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))


def inputs(name: str, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a shape, mostly of its type, some of another."""
    shape = MODEL.shapes[name]
    fitting = _fitting(shape, depth)
    return fitting if depth < 2 else st.one_of(fitting, fitting, fitting, NUMBERS, TEXTS)


def _fitting(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    if shape.type == "structure":
        required = {name for name in shape.members if depth > 0 or name not in ("NextToken",)}
        members = {name: inputs(of, depth + 1) for name, of in shape.members.items()}
        usual = {name: members[name] for name in sorted(required & set(shape.required or ()))}
        return st.fixed_dictionaries(usual, optional={n: s for n, s in members.items() if n not in usual})
    if shape.type == "list":
        return st.lists(inputs(shape.member, depth + 1), max_size=2)
    if shape.type == "boolean":
        return st.booleans()
    if shape.type == "string":
        return st.one_of(TEXTS, st.sampled_from(list(shape.enum))) if shape.enum else TEXTS
    return NUMBERS


@pytest.fixture(scope="module")
def cloudwatch() -> Iterator[CloudWatchInProcess]:
    cloudwatch = CloudWatchInProcess()
    cloudwatch.put("m", 1, 2, 3)
    cloudwatch.alarm("m", AlarmActions=["arn:aws:sns:us-east-1:1:x"])
    yield cloudwatch
    cloudwatch.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_input(cloudwatch: CloudWatchInProcess, operation: str, protocol: str) -> None:
    @settings(max_examples=examples(60))
    @given(inputs(MODEL.operations[operation].input))
    def check(arguments: dict[str, Any]) -> None:
        status, _, body = cloudwatch.send(*_request(protocol, operation, arguments))
        assert status < 500, body

    check()
    cloudwatch.evaluate()


def _request(protocol: str, operation: str, arguments: dict[str, Any]) -> tuple[str, dict[str, str], bytes]:
    if protocol == "json":
        headers = {"x-amz-target": f"{TARGET}.{operation}", "content-type": "application/x-amz-json-1.0"}
        return "/", headers, orjson.dumps(_plain(arguments))
    if protocol == "query":
        flat = {"Action": operation, "Version": "2010-08-01"} | dict(_flat("", arguments))
        body = "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in flat.items())
        return "/", {"content-type": "application/x-www-form-urlencoded"}, body.encode()
    headers = {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"}
    return f"/service/{TARGET}/operation/{operation}", headers, cbor2.dumps(_tagged(arguments))


def _plain(value: Any) -> Any:
    """What JSON can say."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return float(value)
    return value


def _tagged(value: Any) -> Any:
    """Numbers that may be times are some of them times."""
    if isinstance(value, dict):
        return {name: _tagged(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_tagged(each) for each in value]
    if value == NOON:
        return datetime.datetime.fromtimestamp(NOON, datetime.UTC)
    return cbor2.CBORTag(1, value) if isinstance(value, float) else value


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else name, each)
    elif isinstance(value, list):
        for number, each in enumerate(value, 1):
            yield from _flat(f"{prefix}.member.{number}", each)
    else:
        yield prefix, str(value).lower() if isinstance(value, bool) else str(value)
