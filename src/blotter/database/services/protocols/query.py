"""AWS's query protocol: parameters in, XML out. STS and IAM use it.

Example:

    Action=GetCallerIdentity&Version=2011-06-15
    → 200  <GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
             <GetCallerIdentityResult><UserId>123456789012</UserId>…</GetCallerIdentityResult>
             <ResponseMetadata><RequestId>…</RequestId></ResponseMetadata></GetCallerIdentityResponse>
    Action=Nothing&Version=2011-06-15
    → 400  <ErrorResponse xmlns="…"><Error><Type>Sender</Type><Code>InvalidAction</Code>
             <Message>Could not find operation Nothing for version 2011-06-15</Message></Error>
             <RequestId>…</RequestId></ErrorResponse>

Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html, and the common errors of STS and IAM for
codes.
"""

from __future__ import annotations

import re
from typing import Any

from blotter.database.http.messages import Request, Response
from blotter.database.services.errors import ServiceError, shortened
from blotter.database.services.form import form_text, parameters
from blotter.database.services.model import Model
from blotter.database.services.protocols import OperationCall

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


class QueryProtocol:
    def read(self, model: Model, request: Request) -> OperationCall:
        """Raises InvalidQueryParameter for repeated or too many parameters, MissingAction without one and
        InvalidAction for another version of the API."""
        try:
            pairs = parameters(form_text(request))
        except ValueError:
            raise ServiceError("InvalidQueryParameter", "The request has too many parameters.") from None
        arguments: dict[str, Any] = {}
        for name, value in pairs:
            if name in arguments:
                message = f"Parameter '{shortened(name)}' is given more than once."
                raise ServiceError("InvalidQueryParameter", message)
            arguments[name] = value
        action = arguments.pop("Action", "")
        if not action:
            raise ServiceError("MissingAction", "The request is missing an action or a required parameter.")
        version = arguments.pop("Version", "NO_VERSION_SPECIFIED")
        if version != model.version:
            raise _invalid_action(action, version)
        return OperationCall(action, arguments)

    def unknown_operation(self, model: Model, request: Request, name: str) -> ServiceError:  # noqa: ARG002
        if name not in model.operations:
            return _invalid_action(name, model.version)
        error = _invalid_action(name, model.version)
        return ServiceError(
            error.code, f"{error.message}. Blotter does not implement this operation of {model.title} yet."
        )

    def answer(self, model: Model, request: Request, operation: str, output: dict[str, Any]) -> Response:
        shape = model.operations[operation]
        result = f"<{shape.wrapper}>{_structure(model, shape.output, output)}</{shape.wrapper}>"
        metadata = f"<ResponseMetadata><RequestId>{as_text(request.id)}</RequestId></ResponseMetadata>"
        name = f"{operation}Response"
        return _xml(200, f'<{name} xmlns="{model.namespace}">{result}{metadata}</{name}>')

    def error(self, model: Model, request: Request, error: ServiceError) -> Response:
        code, status = _CODES.get(error.code, (error.code, error.status))
        fault = "Sender" if status < 500 else "Receiver"
        message = as_text(error.message)
        return _xml(
            status,
            f'<ErrorResponse xmlns="{model.namespace}"><Error><Type>{fault}</Type><Code>{as_text(code)}</Code>'
            f"<Message>{message}</Message></Error><RequestId>{as_text(request.id)}</RequestId></ErrorResponse>",
        )


def _invalid_action(action: str, version: str) -> ServiceError:
    return ServiceError(
        "InvalidAction", f"Could not find operation {shortened(action)} for version {shortened(version)}"
    )


def _structure(model: Model, shape: str, value: dict[str, Any]) -> str:
    """The members that have a value, in the model's order; structures within structures."""
    parts = []
    for name, of in model.shapes[shape].members.items():
        content = value.get(name)
        if content is not None:
            inner = _structure(model, of, content) if model.shapes[of].members else as_text(str(content))
            parts.append(f"<{name}>{inner}</{name}>")
    return "".join(parts)


def as_text(value: str) -> str:
    """Text as the content of an XML element, whatever it holds."""
    text = _NOT_XML.sub("\ufffd", value)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _xml(status: int, document: str) -> Response:
    return Response(status, f"{document}\n".encode(), _HEADERS)
