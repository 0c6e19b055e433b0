"""The committed service model is what the script makes of the installed botocore."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from blotter.database.wire.decode import OPERATIONS
from blotter.database.wire.requests import INPUTS
from blotter.database.wire.service_model import service_model

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "compile_service_model", ROOT / "scripts" / "compile_service_model.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_files_are_what_the_script_writes(script: ModuleType) -> None:
    model = script.compile_model()
    database = ROOT / "src" / "blotter" / "database"
    wire = database / "wire"
    assert (wire / "service_model.json").read_text() == script.render_model(model)
    assert (wire / "requests.py").read_text() == script.render_requests(model)
    services = {path.stem: path.read_text() for path in (database / "services" / "models").glob("*.json")}
    assert services == {name: script.render_service(script.compile_service(name)) for name in script.SERVICES}


def test_every_operation_of_both_services_has_an_input() -> None:
    operations = service_model().operations
    assert set(operations) == {"DynamoDB_20120810", "DynamoDBStreams_20120810"}
    assert {name for names in operations.values() for name in names} == OPERATIONS
    assert {"PutItem", "GetRecords", "SearchVectors"} <= OPERATIONS


@pytest.mark.parametrize("operation", sorted(INPUTS))
def test_struct_and_shape_have_the_same_members(operation: str) -> None:
    shape = service_model().shapes[f"{operation}Input"]
    fields = {field.name: field for field in msgspec.structs.fields(INPUTS[operation])}
    assert set(fields) == set(shape.members)
    assert {name for name, field in fields.items() if field.required} == set(shape.required)


def test_every_shape_named_is_there() -> None:
    shapes = service_model().shapes
    for shape in shapes.values():
        for name in (*shape.members.values(), shape.member, shape.key, shape.value):
            assert not name or name in shapes
