"""What the export forms share: the requests that make a table from nothing, and the place they are meant for."""

from __future__ import annotations

from blotter import aws
from blotter.config import Configuration, ConfiguredTable
from blotter.printable import one_line
from blotter.tables.declaring.declaration import TableDeclaration
from blotter.tables.errors import Exit, SetupError
from blotter.tables.planning.aspects import ASPECTS, Gap, is_off
from blotter.tables.planning.changes import Request
from blotter.tables.planning.observed import Observed
from blotter.tables.planning.plan import creation

Tables = list[tuple[ConfiguredTable, TableDeclaration]]


def requests_for(name: str, declared: TableDeclaration) -> list[Request]:
    """Every request that makes the table from nothing, in order."""
    bare = Observed({"TableName": name, "BillingModeSummary": {"BillingMode": declared.billing_mode}})
    requests = [creation(name, declared)]
    for aspect in ASPECTS:
        wanted = aspect.wanted(declared)
        if aspect.at_creation or wanted is None or is_off(wanted):
            continue
        if aspect.key == "replicas":  # one region per request
            for number, region in enumerate(wanted):
                requests += aspect.requests(Gap(bare, declared, wanted[:number], [region]))
            continue
        requests += aspect.requests(Gap(bare, declared, aspect.found(bare), wanted))
    return requests


def requests_beside(name: str, declared: TableDeclaration) -> list[Request]:
    """Those to services beside DynamoDB: autoscaling and alarms."""
    return [request for request in requests_for(name, declared) if request.service != "dynamodb"]


def place_of(configuration: Configuration) -> str:
    """Where the tables belong, as one line for a comment."""
    parts = [f"region {configuration.region}"]
    parts += [f"account {configuration.account}"] if configuration.account else []
    parts.append(f"endpoint {configuration.endpoint}" if configuration.endpoint else "Amazon DynamoDB")
    return one_line(f"{configuration.app}, environment {configuration.environment}: {', '.join(parts)}", 300)


def endpoint_of(configuration: Configuration, service: str) -> str | None:
    """The endpoint of a service where the SDK's default is not meant; None for AWS's own."""
    if service == "dynamodb":
        return configuration.endpoint
    environ = configuration.environ
    named = environ.get(aws.endpoint_variable(service))
    if named or configuration.at_aws:
        return named or None
    return environ.get("AWS_ENDPOINT_URL") or aws.endpoint_beside_tables(configuration, service)


def refuse(what: object, table: ConfiguredTable, name: str, form: str, why: str) -> None:
    """Stop with an error when there is something that a format cannot express."""
    if what:
        raise SetupError(f"tables.{table.label}: {name} cannot be exported as {form}: {why}", Exit.REFUSED)


def kebab(name: str) -> str:
    """An API name as the AWS CLI writes it."""
    from botocore import xform_name

    return str(xform_name(name, "-"))
