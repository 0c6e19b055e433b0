"""AWS's query protocol: parameters in, XML out. STS and IAM use it.

Example:

    Action=TagUser&Version=2010-05-08&UserName=ann&Tags.member.1.Key=team&Tags.member.1.Value=a
    → the input {"UserName": "ann", "Tags": [{"Key": "team", "Value": "a"}]}
    Action=GetCallerIdentity&Version=2011-06-15
    → 200  <GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
             <GetCallerIdentityResult><UserId>123456789012</UserId>…</GetCallerIdentityResult>
             <ResponseMetadata><RequestId>…</RequestId></ResponseMetadata></GetCallerIdentityResponse>
    Action=Nothing&Version=2011-06-15
    → 400  <ErrorResponse xmlns="…"><Error><Type>Sender</Type><Code>InvalidAction</Code>
             <Message>Could not find operation Nothing for version 2011-06-15</Message></Error>
             <RequestId>…</RequestId></ErrorResponse>

The operation's input shape says how its parameters are read; parameters that it does not have are ignored, as AWS
does. Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html, and the common errors of STS and IAM for
codes.
"""

from __future__ import annotations

import re
from typing import Any

from blotter.database.http.messages import Request, Response
from blotter.database.model.timestamps import iso
from blotter.database.services.errors import ServiceError, shortened
from blotter.database.services.form import form_text, parameters
from blotter.database.services.model import Model, Shape
from blotter.database.services.protocols import OperationCall
from blotter.database.services.shapes import seconds_of

_HEADERS = (("Content-Type", "text/xml"),)
# Errors of signatures are called otherwise here, and have other statuses.
_CODES = {
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "AccessDeniedException": ("AccessDenied", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
}
# Characters that XML 1.0 cannot hold, not even escaped, and halves of surrogate pairs.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?", re.ASCII)
# No shape of a service is nested deeper; dots beyond belong to the last name.
_DEEPEST = 12

Parameters = dict[str, Any]
"""Parameters as a tree of their names' parts: a value, or more parts."""


class QueryProtocol:
    def read(self, model: Model, request: Request) -> OperationCall:
        """Raises InvalidQueryParameter for repeated or too many parameters, MissingAction without one,
        InvalidAction for another version of the API and MalformedInput for a value of another type."""
        try:
            pairs = parameters(form_text(request))
        except ValueError:
            raise ServiceError("InvalidQueryParameter", "The request has too many parameters.") from None
        flat: dict[str, str] = {}
        for name, value in pairs:
            if name in flat:
                message = f"Parameter '{shortened(name)}' is given more than once."
                raise ServiceError("InvalidQueryParameter", message)
            flat[name] = value
        action = flat.pop("Action", "")
        if not action:
            raise ServiceError("MissingAction", "The request is missing an action or a required parameter.")
        version = flat.pop("Version", "NO_VERSION_SPECIFIED")
        if version != model.version:
            raise _invalid_action(action, version)
        operation = model.operations.get(action)
        if operation is None or not operation.input:
            return OperationCall(action, {})
        return OperationCall(action, _read_structure(model, model.shapes[operation.input], _tree(flat)))

    def unknown_operation(self, model: Model, request: Request, name: str) -> ServiceError:  # noqa: ARG002
        if name not in model.operations:
            return _invalid_action(name, model.version)
        error = _invalid_action(name, model.version)
        return ServiceError(
            error.code, f"{error.message}. Blotter does not implement this operation of {model.title} yet."
        )

    def answer(self, model: Model, request: Request, operation: str, output: dict[str, Any]) -> Response:
        shape = model.operations[operation]
        result = ""
        if shape.output:
            result = f"<{shape.wrapper}>{_content(model, shape.output, output)}</{shape.wrapper}>"
        metadata = f"<ResponseMetadata><RequestId>{as_text(request.id)}</RequestId></ResponseMetadata>"
        name = f"{operation}Response"
        return _xml(200, f'<{name} xmlns="{model.namespace}">{result}{metadata}</{name}>')

    def error(self, model: Model, request: Request, error: ServiceError) -> Response:
        code, status = _CODES.get(error.code, (model.errors.get(error.code, error.code), error.status))
        fault = "Sender" if status < 500 else "Receiver"
        message = f"<Message>{as_text(error.message)}</Message>" if error.message else ""
        return _xml(
            status,
            f'<ErrorResponse xmlns="{model.namespace}"><Error><Type>{fault}</Type><Code>{as_text(code)}</Code>'
            f"{message}</Error><RequestId>{as_text(request.id)}</RequestId></ErrorResponse>",
        )


def _invalid_action(action: str, version: str) -> ServiceError:
    return ServiceError(
        "InvalidAction", f"Could not find operation {shortened(action)} for version {shortened(version)}"
    )


# Reading


def _tree(flat: dict[str, str]) -> Parameters:
    """`{"Tags.member.1.Key": "a"}` as `{"Tags": {"member": {"1": {"Key": "a"}}}}`."""
    root: Parameters = {}
    for name, value in flat.items():
        *path, last = name.split(".", _DEEPEST)
        node = root
        for part in path:
            child = node.setdefault(part, {})
            if not isinstance(child, dict):
                # "Tags=" is an empty list; SDKs send nothing else beside it.
                child = node[part] = {}
            node = child
        node.setdefault(last, value)
    return root


def _read_structure(model: Model, shape: Shape, given: Parameters) -> dict[str, Any]:
    read = {}
    for name, of in shape.members.items():
        if name in given:
            read[name] = _read(model, model.shapes[of], name, given[name])
    return read


def _read(model: Model, shape: Shape, name: str, given: str | Parameters) -> Any:
    if shape.type == "list":
        return _read_list(model, shape, name, given)
    if shape.type == "structure":
        return _read_structure(model, shape, given if isinstance(given, dict) else {})
    if isinstance(given, dict):
        raise ServiceError("MalformedInput", f"{shortened(name)} has to be a single value.")
    if shape.type in ("integer", "long"):
        if not _INTEGER.fullmatch(given):
            raise ServiceError("MalformedInput", f"{shortened(name)} has to be an integer.")
        return int(given)
    if shape.type == "boolean":
        if given not in ("true", "false"):
            raise ServiceError("MalformedInput", f"{shortened(name)} has to be true or false.")
        return given == "true"
    if shape.type == "double":
        return _double(name, given)
    if shape.type == "timestamp":
        return _timestamp(name, given)
    return given


def _double(name: str, given: str) -> float:
    try:
        return float(given)
    except ValueError:
        raise ServiceError("MalformedInput", f"{shortened(name)} has to be a number.") from None


def _timestamp(name: str, given: str) -> float:
    """A moment, as ISO 8601 has it or in seconds since the epoch."""
    try:
        return float(given) if _SECONDS.fullmatch(given) else seconds_of(given)
    except (ValueError, OverflowError):
        raise ServiceError("MalformedInput", f"timestamp must follow ISO8601: {shortened(name)}") from None


def _read_list(model: Model, shape: Shape, name: str, given: str | Parameters) -> list[Any]:
    """The elements by their numbers, which may have gaps."""
    members = given.get("member") if isinstance(given, dict) else None
    if not isinstance(members, dict):
        return []
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in members):
        raise ServiceError("MalformedInput", f"The elements of {shortened(name)} have to be numbered.")
    of = model.shapes[shape.member]
    return [_read(model, of, name, members[number]) for number in sorted(members, key=int)]


# Writing


def _content(model: Model, of: str, value: Any) -> str:
    """What is between the tags of an element: the members of a structure that have a value, in the model's order,
    the elements of a list, the entries of a map, or a value. A number of seconds for a timestamp."""
    shape = model.shapes[of]
    if shape.type == "structure":
        return "".join(
            f"<{name}>{_content(model, member, value[name])}</{name}>"
            for name, member in shape.members.items()
            if value.get(name) is not None
        )
    if shape.type == "list":
        return "".join(f"<member>{_content(model, shape.member, element)}</member>" for element in value)
    if shape.type == "map":
        return "".join(
            f"<entry><key>{as_text(str(key))}</key><value>{_content(model, shape.value, element)}</value></entry>"
            for key, element in value.items()
        )
    if shape.type == "boolean":
        return "true" if value else "false"
    if shape.type == "timestamp":
        return iso(value)
    return as_text(str(value))


def as_text(value: str) -> str:
    """Text as the content of an XML element, whatever it holds."""
    text = _NOT_XML.sub("\ufffd", value)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _xml(status: int, document: str) -> Response:
    return Response(status, f"{document}\n".encode(), _HEADERS)
