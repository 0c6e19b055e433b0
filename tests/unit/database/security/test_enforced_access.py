"""Enforced access: which requests it takes, which error each other one gets, and what it remembers.

Requests are signed by botocore, so the server's code does not check itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from blotter.database.http.messages import Request
from blotter.database.model.errors import DynamoDBError
from blotter.database.security import enforced_access, sigv4
from blotter.database.security.access_records import AccessKey, Role, User, delete, find, save
from blotter.database.security.access_state import AccessState, secret_context
from blotter.database.security.enforced_access import EnforcedAccess
from blotter.database.security.identifiers import new_access_key_id, new_principal_id, new_secret
from blotter.database.security.keys import Keys
from blotter.database.security.principal import Principal
from blotter.database.security.sealing import sealer_in_memory
from blotter.database.security.session_tokens import IssuedCredentials, SessionClaims, SessionTokens
from blotter.database.storage.memory import MemoryStore
from tests.examples import examples
from tests.http_requests import changed

ACCOUNT = "111122223333"
NOW = 1_796_000_000.0
INVALID = ("UnrecognizedClientException", "The security token included in the request is invalid.")
MISMATCH = "InvalidSignatureException"


class Server:
    """Enforced access to one service over a store in memory, whose time stands still unless a test moves it."""

    def __init__(self, service: str = "dynamodb") -> None:
        self.now = NOW
        self.storage = MemoryStore().open()
        self.sealer = sealer_in_memory()
        self.tokens = SessionTokens(self.sealer)
        self.state = AccessState(self.storage, self.sealer)
        self.keys = Keys(self.state, self.tokens, lambda: self.now)
        self.access = EnforcedAccess(service, self.keys.find, lambda: self.now)
        self.state.on_change(self.access.forget)

    async def change(self, work: Callable[[Any], object]) -> None:
        await self.storage.write(work)
        self.state.refresh()

    async def add_key(self, user: str = "", **changed: Any) -> tuple[str, str]:
        access_key, secret = new_access_key_id("AKIA", ACCOUNT), new_secret()
        sealed = self.sealer.seal(secret.encode(), secret_context(ACCOUNT, access_key))
        record = AccessKey(access_key, user, NOW, sealed, **changed)
        await self.change(lambda tx: save(tx, ACCOUNT, record))
        return access_key, secret

    def caller(self, request: Request) -> Principal:
        identity = self.access.authenticate(request)
        assert identity.principal is not None
        assert identity.account == identity.principal.account
        return identity.principal

    def refusal(self, request: Request) -> tuple[str, str]:
        with pytest.raises(DynamoDBError) as refused:
            self.access.authenticate(request)
        return refused.value.code, refused.value.message


def signed(
    key: tuple[str, ...] | IssuedCredentials,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes = b'{"TableName":"t"}',
    at: float = NOW,
    service: str = "dynamodb",
    presigned_for: int = 0,
    **headers: str,
) -> Request:
    named = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.GetItem",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    request = AWSRequest("POST", "http://localhost:8000/", named, body)
    moment = datetime.fromtimestamp(at, UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: moment.replace(tzinfo=None))
    credentials = Credentials(*key)
    if presigned_for:
        SigV4QueryAuth(credentials, service, "eu-west-1", presigned_for).add_auth(request)
    else:
        SigV4Auth(credentials, service, "eu-west-1").add_auth(request)
    prepared = request.prepare()
    sent = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    target = prepared.url.removeprefix("http://localhost:8000")
    content = prepared.body or b""
    assert isinstance(content, bytes)
    return Request("POST", target, {"host": "localhost:8000", **sent}, content)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


@pytest.fixture
def sign(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Request]:
    return lambda key, **given: signed(key, monkeypatch, **given)


@pytest.fixture
def server() -> Server:
    return Server()


def run(work: Any) -> Any:
    return asyncio.run(work)


def test_a_signed_request_is_its_keys_owners(server: Server, sign: Any) -> None:
    user = User("ann", "/team/", new_principal_id("AIDA"), NOW, tags={"team": "a"})
    run(server.change(lambda tx: save(tx, ACCOUNT, user)))
    root, ann = run(server.add_key()), run(server.add_key("ann"))
    for _ in range(2):  # the second time by what the first one left
        assert server.caller(sign(root)).arn == f"arn:aws:iam::{ACCOUNT}:root"
        caller = server.caller(sign(ann))
        assert (caller.kind, caller.arn) == ("user", f"arn:aws:iam::{ACCOUNT}:user/team/ann")
        assert (caller.user_id, caller.tags) == (user.id, {"team": "a"})
    assert server.access.authenticate(sign(ann)).region == "eu-west-1"


@pytest.mark.parametrize("remembered", [False, True])
def test_what_was_changed_after_signing_is_refused(server: Server, sign: Any, remembered: bool) -> None:
    key = run(server.add_key())
    request = sign(key, content_encoding="identity")
    if remembered:
        server.access.authenticate(request)
    headers = request.headers
    changes: list[tuple[str, Request]] = [
        ("body", changed(request, body=request.body + b" ")),
        ("target", changed(request, headers={**headers, "x-amz-target": "DynamoDB_20120810.PutItem"})),
        ("host", changed(request, headers={**headers, "host": "elsewhere"})),
        ("date", changed(request, headers={**headers, "x-amz-date": _stamp(NOW + 1)})),
        ("signature", changed(request, headers={**headers, "authorization": headers["authorization"][:-1] + "é"})),
        ("no signature", changed(request, headers={**headers, "authorization": headers["authorization"][:-64]})),
        ("method", changed(request, method="PUT")),
        ("path", changed(request, target="/a")),
        ("a signed header is missing", changed(request, headers=_without(headers, "content-type"))),
    ]
    refused = {name: server.refusal(sent)[0] for name, sent in changes}
    assert refused.pop("no signature") == "IncompleteSignatureException"
    assert set(refused.values()) == {MISMATCH}
    assert server.caller(request).kind == "root"


def test_the_same_secret_does_for_no_other_key(server: Server, sign: Any) -> None:
    (first, _), (_, second_secret) = run(server.add_key()), run(server.add_key())
    assert server.refusal(sign((first, second_secret)))[0] == MISMATCH
    assert server.refusal(sign(("AKIAIOSFODNN7EXAMPLE", second_secret))) == INVALID


def test_bodies_of_unknown_callers_are_not_hashed(
    server: Server, sign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = sign(("AKIAIOSFODNN7EXAMPLE", "secret"))

    class Untouchable(bytes):
        def __len__(self) -> int:
            raise AssertionError("looked at")

    def never(*_: Any) -> None:
        raise AssertionError("hashed")

    monkeypatch.setattr(sigv4.hashlib, "sha256", never)
    assert server.refusal(changed(request, body=Untouchable())) == INVALID


@pytest.mark.parametrize("remembered", [False, True])
def test_the_clocks_may_differ_by_a_quarter_of_an_hour(server: Server, sign: Any, remembered: bool) -> None:
    key = run(server.add_key())
    request = sign(key)
    if remembered:
        server.access.authenticate(request)
    for seconds in (-900, 0, 900):
        server.now = NOW + seconds
        assert server.caller(request).kind == "root"
    server.now = NOW + 901
    code, message = server.refusal(request)
    assert (code, message.partition(":")[0]) == (MISMATCH, "Signature expired")
    server.now = NOW - 901
    code, message = server.refusal(request)
    assert (code, message.partition(":")[0]) == (MISMATCH, "Signature not yet current")


@pytest.mark.parametrize("remembered", [False, True])
def test_a_key_that_is_inactive_deleted_or_without_its_owner_is_unknown(
    server: Server, sign: Any, remembered: bool
) -> None:
    user = User("ann", "/", new_principal_id("AIDA"), NOW)
    run(server.change(lambda tx: save(tx, ACCOUNT, user)))
    access_key, secret = run(server.add_key("ann"))
    request = sign((access_key, secret))
    record = _key_record(server, access_key)

    def expect_refusal(work: Callable[[Any], object], undo: Callable[[Any], object]) -> None:
        if remembered:
            server.access.authenticate(request)
        run(server.change(work))
        assert server.refusal(request) == INVALID
        run(server.change(undo))
        assert server.caller(request).name == "ann"

    inactive = replace(record, status="Inactive")
    expect_refusal(lambda tx: save(tx, ACCOUNT, inactive), lambda tx: save(tx, ACCOUNT, record))
    expect_refusal(lambda tx: delete(tx, ACCOUNT, record), lambda tx: save(tx, ACCOUNT, record))
    expect_refusal(lambda tx: delete(tx, ACCOUNT, user), lambda tx: save(tx, ACCOUNT, user))


def test_a_secret_that_was_moved_to_another_key_is_of_no_use(server: Server, sign: Any) -> None:
    access_key, secret = run(server.add_key())
    moved = replace(_key_record(server, access_key), id=new_access_key_id("AKIA", ACCOUNT))
    run(server.change(lambda tx: save(tx, ACCOUNT, moved)))
    assert server.refusal(sign((moved.id, secret))) == INVALID


def _session(server: Server, **changed: Any) -> IssuedCredentials:
    claims = SessionClaims("root", ACCOUNT, "", ACCOUNT, NOW, NOW + 900)
    return server.tokens.issue(replace(claims, **changed))


@pytest.mark.parametrize("remembered", [False, True])
def test_temporary_credentials_end_when_they_say(server: Server, sign: Any, remembered: bool) -> None:
    request = sign(_session(server))
    if remembered:
        caller = server.caller(request)
        assert caller.session is not None
        assert (caller.kind, caller.session.expires_at) == ("root", NOW + 900)
    server.now = NOW + 900
    assert server.refusal(request) == (
        "ExpiredTokenException",
        "The security token included in the request is expired",
    )


def test_a_token_is_bound_to_its_key_and_cannot_be_changed(server: Server, sign: Any) -> None:
    mine, others, permanent = _session(server), _session(server), run(server.add_key())
    right = sign(mine)
    assert server.caller(right).kind == "root"
    last = "A" if mine.token[-5] != "A" else "B"
    tokens = {
        "another session's": others.token,
        "tampered with": mine.token[:-5] + last + mine.token[-4:],
        "cut off": mine.token[: len(mine.token) // 2],
        "cut within a character group": mine.token[:-1],
        "empty": "",
        "no token at all": "%%%",
        "too long": mine.token * 100,
        "not ASCII": "é" * 40,
    }
    for name, token in tokens.items():
        assert server.refusal(sign(mine._replace(token=token))) == INVALID, name
        headers = {**right.headers, "x-amz-security-token": token}
        assert server.refusal(changed(right, headers=headers)) == INVALID, name
    assert server.refusal(sign((*mine[:2],))) == INVALID
    assert server.refusal(sign((*permanent, mine.token))) == INVALID


def test_a_token_of_another_server_is_none(server: Server, sign: Any) -> None:
    assert server.refusal(sign(_session(Server()))) == INVALID


def test_a_role_session_ends_with_its_role(server: Server, sign: Any) -> None:
    role = Role("worker", "/app/", new_principal_id("AROA"), NOW, tags={"team": "a", "env": "x"})
    run(server.change(lambda tx: save(tx, ACCOUNT, role)))
    credentials = _session(
        server,
        kind="assumed-role",
        name="worker",
        unique_id=role.id,
        session_name="i-1",
        tags={"env": "y"},
    )
    request = sign(credentials)
    caller = server.caller(request)
    assert caller.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/i-1"
    assert caller.role_arn == f"arn:aws:iam::{ACCOUNT}:role/app/worker"
    assert (caller.user_id, caller.tags) == (f"{role.id}:i-1", {"team": "a", "env": "y"})
    run(server.change(lambda tx: save(tx, ACCOUNT, replace(role, id=new_principal_id("AROA")))))
    assert server.refusal(request) == INVALID


def test_a_federated_user_has_the_tags_of_who_made_it(server: Server, sign: Any) -> None:
    user = User("ann", "/", new_principal_id("AIDA"), NOW, tags={"team": "a"})
    run(server.change(lambda tx: save(tx, ACCOUNT, user)))
    credentials = _session(server, kind="federated-user", name="bob", issuer="ann", unique_id=user.id, policies=())
    caller = server.caller(sign(credentials))
    assert (caller.arn, caller.user_id) == (f"arn:aws:sts::{ACCOUNT}:federated-user/bob", f"{ACCOUNT}:bob")
    assert (caller.tags, caller.session_policies) == ({"team": "a"}, ())


def test_a_presigned_request_is_good_for_its_time(server: Server, sign: Any) -> None:
    key, session = run(server.add_key()), _session(server)
    request = sign(key, presigned_for=60)
    assert "authorization" not in request.headers
    assert server.caller(request).kind == server.caller(sign(session, presigned_for=60)).kind == "root"
    assert server.refusal(changed(request, body=b"{}"))[0] == MISMATCH
    server.now = NOW + 61
    assert server.refusal(request)[1].startswith("Signature expired: ")


def test_each_service_takes_what_is_signed_for_it(server: Server, sign: Any) -> None:
    key = run(server.add_key())
    assert server.refusal(sign(key, service="sts")) == (
        MISMATCH,
        "Credential should be scoped to correct service: 'dynamodb'. ",
    )
    access = EnforcedAccess("sts", server.access._find_key, lambda: NOW)
    assert access.authenticate(sign(key, service="sts")).access_key == key[0]


def test_blanks_are_collapsed_as_clients_do(server: Server, sign: Any) -> None:
    key = run(server.add_key())
    for _ in range(2):
        for value in ("a b", "a  b", "a \t b"):
            assert server.caller(sign(key, x_amz_meta=value)).kind == "root"


def test_clients_with_different_clocks_and_headers_are_all_remembered(server: Server, sign: Any) -> None:
    key = run(server.add_key())
    for number in range(200):
        assert server.caller(sign(key, at=NOW - number, x_amz_meta=str(number))).kind == "root"
    assert len(server.access._signers) == 1


def test_what_is_remembered_is_bounded(server: Server, sign: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforced_access, "MOST_SIGNERS", 8)
    key = run(server.add_key())
    for number in range(20):
        assert server.caller(sign(key, **{f"x_amz_{number}": "a"})).kind == "root"
    assert len(server.access._signers) <= 8
    assert server.refusal(sign((key[0], "wrong"), x_amz_other="a"))[0] == MISMATCH
    assert not any("x-amz-other" in head for head in server.access._signers)


def test_the_last_use_of_a_key_is_known(server: Server, sign: Any) -> None:
    key = run(server.add_key())
    for seconds in (0, 5):
        server.access.authenticate(sign(key, at=NOW + seconds))
    assert max(use.used_at for use in server.access.take_uses()) == NOW + 5


def _key_record(server: Server, access_key: str) -> AccessKey:
    read = server.storage.read()
    with read as tx:
        record = find(tx, ACCOUNT, AccessKey, access_key)
    assert record is not None
    return record


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def test_of_several_faults_the_first_in_aws_order_is_told(server: Server, sign: Any) -> None:
    """A request with every fault; each step mends the one that was told."""
    access_key, secret = run(server.add_key())
    right = sign((access_key, secret))
    day = right.headers["x-amz-date"][:8]

    def header(
        algorithm: str = "AWS4-HMAC-SHA256",
        key: str = access_key,
        scope: str = f"{day}/eu-west-1/dynamodb/aws4_request",
        signed: str = "content-type;host;x-amz-date;x-amz-target",
        signature: str = "0" * 64,
    ) -> str:
        return f"{algorithm} Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}"

    faults: dict[str, str] = {
        "algorithm": "AWS4-HMAC-SHA1",
        "key": "AKIAIOSFODNN7EXAMPLE",
        "scope": "20200101/r_/s3/aws4_reques",
        "signed": "x-amz-date",
    }
    told = []
    for authorization, date in (
        (None, None),
        ("AWS4-X Credential=a", None),
        (header(**faults), "yesterday"),
        (header(**faults), _stamp(NOW - 1000)),
        (header(**faults), _stamp(NOW)),
        (header(**{**faults, "signed": "host"}), _stamp(NOW)),
        (header(key=faults["key"], scope="a/b"), _stamp(NOW)),
        (header(key=faults["key"], scope=faults["scope"]), _stamp(NOW)),
        (header(key=faults["key"]), _stamp(NOW)),
        (header(), _stamp(NOW)),
    ):
        sent = _without(_without(right.headers, "authorization"), "x-amz-date")
        sent |= {} if authorization is None else {"authorization": authorization}
        sent |= {} if date is None else {"x-amz-date": date}
        code, message = server.refusal(changed(right, headers=sent))
        told.append(f"{code}: {message[:44]}")
    assert told == [
        "MissingAuthenticationTokenException: Request is missing Authentication Token",
        "IncompleteSignatureException: Authorization header requires 'Signature' pa",
        "IncompleteSignatureException: Date must be in ISO-8601 'basic format'. Got",
        f"InvalidSignatureException: Signature expired: {_stamp(NOW - 1000)} is now e",
        "InvalidSignatureException: 'Host' must be a 'SignedHeader' in the AWS A",
        "IncompleteSignatureException: Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1",
        "IncompleteSignatureException: Credential must have exactly 5 slash-delimit",
        "InvalidSignatureException: Credential should be scoped to a valid regio",
        "UnrecognizedClientException: The security token included in the request i",
        "InvalidSignatureException: The request signature we calculated does not",
    ]


_TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_whatever_is_sent_is_taken_or_refused(data: st.DataObject) -> None:
    """Nothing that a stranger writes into a request is an error of the server."""
    server = Server()
    parts = [
        st.sampled_from(["AWS4-HMAC-SHA256", "AWS4-", " ", ",", "=", ", "]),
        st.sampled_from(["Credential=", "SignedHeaders=", "Signature=", "0" * 64, "host;x-amz-date"]),
        st.sampled_from(["AKIARZPUZDIKJVSGK3LP/20261130/eu-west-1/dynamodb/aws4_request", "a/b/c/d/e", "%2F"]),
        _TEXT,
    ]
    written = st.lists(st.one_of(parts), max_size=12).map("".join)
    dates = st.one_of(_TEXT, st.sampled_from([_stamp(NOW), "99991231T235959Z", "Mon, 01 Jan 0001 00:00:00 +2359"]))
    names = [f"X-Amz-{name}" for name in ("Algorithm", "Credential", "Signature", "SignedHeaders", "Expires")]
    pairs = st.tuples(st.sampled_from(names), st.one_of(_TEXT, written, dates))
    query = data.draw(st.lists(pairs, max_size=6).map(lambda found: "&".join(f"{n}={v}" for n, v in found)))
    if data.draw(st.booleans()):
        query += f"&X-Amz-Date={data.draw(dates)}"
    headers = {"host": "h", "authorization": data.draw(written), "x-amz-date": data.draw(dates)}
    headers = {name: value for name, value in headers.items() if data.draw(st.booleans())}
    if data.draw(st.booleans()):
        headers["x-amz-security-token"] = data.draw(_TEXT)
    request = Request("POST", data.draw(st.sampled_from(["/", f"/?{query}", f"/{query}"])), headers, b"")
    with contextlib.suppress(DynamoDBError):
        server.access.authenticate(request)


def test_who_names_a_key_that_may_be_used_is_known_before_the_body_is_there(server: Server, sign: Any) -> None:
    """Nothing is verified by it: it only decides how much a sender may send meanwhile."""
    root, inactive = run(server.add_key()), run(server.add_key("ann", status="Inactive"))
    claims = SessionClaims("root", ACCOUNT, "", ACCOUNT, NOW, NOW + 900)
    session = server.tokens.issue(claims)
    unknown = ("AKIAIOSFODNN7EXAMPLE", "secret")
    knows = server.keys.knows
    assert [knows(sign(key).headers) for key in (root, session)] == [True, True]
    assert [knows(sign(key).headers) for key in (inactive, unknown)] == [False, False]
    assert not knows({})
    assert not knows({"authorization": "Credential=" + "A" * 10_000})
    assert not knows(sign(session).headers | {"x-amz-security-token": "x"})
    server.now += 901
    assert not knows(sign(session).headers)
