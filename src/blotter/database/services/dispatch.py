"""Chooses the service of a request: by its credential scope, else its target header, else its Action or path.

All services share one port, as they share `AWS_ENDPOINT_URL` in a client's configuration, so the request itself
has to identify its service. A signed request names its service in the credential's scope
(`…Credential=<key>/<date>/<region>/<service>/aws4_request…`); that decides wherever the name is one of ours.
What is unsigned, or signed for a name that is not served here, is distinguished by what each protocol sends beside
the body. What nothing claims is DynamoDB's if it looks like its API, because DynamoDB clients are the ones that
exist.

Choosing a service is not authentication: each service authenticates its requests by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Protocol

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.services.form import RPC_PATH, first_value, form_text

# What the authorization header of every DynamoDB client contains.
_DYNAMODB_SCOPE = "/dynamodb/aws4_request"
_SCOPE = re.compile(r"Credential=[^,\s]*/([a-z0-9-]{1,64})/aws4_request", re.ASCII)
_QUERY_SCOPE = re.compile(r"/([a-z0-9-]{1,64})/aws4_request", re.ASCII)


class Service(Protocol):
    """What answers the requests of one service."""

    def answer(self, request: Request) -> Response | Pending:
        """The response to a request that was chosen for this service. Raises nothing."""

    def refuse(self, request: Request, message: str) -> Response:
        """The 403 of a request that is not let in, in the service's own protocol."""


class Claims:
    """How requests name one service beside the scope: target prefixes, API version and the name in RPC paths."""

    __slots__ = ("path_names", "scope", "service", "targets", "versions")

    def __init__(
        self,
        service: Service,
        scope: str,
        targets: Iterable[str] = (),
        versions: Iterable[str] = (),
        path_names: Iterable[str] = (),
    ) -> None:
        self.service = service
        self.scope = scope
        self.targets = frozenset(targets)
        self.versions = frozenset(versions)
        self.path_names = frozenset(path_names)


class Dispatcher:
    """A handler that passes each request to its service.

    `dynamodb` answers its own requests and those that no service claims; `others` are tried in order;
    `unknown(name)` makes the service that answers requests signed for one that is not served here.
    """

    __slots__ = ("_by_path", "_by_scope", "_by_target", "_by_version", "_dynamodb", "_last_credential", "_unknown")

    def __init__(self, dynamodb: Service, others: Iterable[Claims], unknown: Callable[[str], Service]) -> None:
        self._dynamodb = dynamodb
        self._last_credential = "none yet"
        """How the last authorization header of a DynamoDB client began: mostly, the next one begins the same way.
        Comparing is quicker than searching."""
        self._unknown = unknown
        self._by_scope = {"dynamodb": dynamodb}
        self._by_target: dict[str, Service] = {}
        self._by_version: dict[str, Service] = {}
        self._by_path: dict[str, Service] = {}
        for claims in others:
            self._by_scope[claims.scope] = claims.service
            self._by_target.update(dict.fromkeys(claims.targets, claims.service))
            self._by_version.update(dict.fromkeys(claims.versions, claims.service))
            self._by_path.update(dict.fromkeys(claims.path_names, claims.service))

    def __call__(self, request: Request) -> Response | Pending:
        return self._choose(request).answer(request)

    def refuse(self, request: Request, message: str) -> Response:
        return self._choose(request).refuse(request, message)

    def _choose(self, request: Request) -> Service:
        authorization = request.headers.get("authorization")
        if authorization is not None:
            if authorization.startswith(self._last_credential):
                return self._dynamodb
            end = authorization.find(_DYNAMODB_SCOPE)
            if end >= 0:
                self._last_credential = authorization[: end + len(_DYNAMODB_SCOPE)]
                return self._dynamodb
        return self._choose_slowly(request, authorization)

    def _choose_slowly(self, request: Request, authorization: str | None) -> Service:
        scope = _scope(request, authorization)
        service = self._by_scope.get(scope)
        if service is not None:
            return service
        target = request.headers.get("x-amz-target")
        if target is not None:
            service = self._by_target.get(target.rpartition(".")[0])
        elif (match := RPC_PATH.fullmatch(request.target)) is not None:
            service = self._by_path.get(match[1])
        elif scope or "content-type" in request.headers or "?" in request.target:
            service = self._by_version.get(first_value(form_text(request), "Version"))
        if service is not None:
            return service
        if scope and not _is_dynamodb_target(target):
            return self._unknown(scope)
        return self._dynamodb


def _scope(request: Request, authorization: str | None) -> str:
    """The service in the credential's scope, of the header or of a presigned URL; "" when the request has none."""
    if authorization is not None:
        match = _SCOPE.search(authorization)
        return "" if match is None else match[1]
    if "X-Amz-Credential=" not in request.target:
        return ""
    credential = first_value(request.target.partition("?")[2], "X-Amz-Credential")
    match = _QUERY_SCOPE.search(credential)
    return "" if match is None else match[1]


def _is_dynamodb_target(target: str | None) -> bool:
    return target is not None and target.startswith("DynamoDB")
