"""Resource policies at work: within an account and across accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.security.access_records import Account, Record, Role, User, save
from blotter.database.security.policy import Policy
from tests.guarded import ROOT, TABLES, GuardedDatabase, allow, document, session, statement, user
from tests.in_process import ACCOUNT

NOTES = f"{TABLES}notes"
KEY = {"p": {"S": "a"}}
OTHER = "210987654321"


@pytest.fixture(params=["sqlite", "distant"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[GuardedDatabase]:
    guarded = GuardedDatabase(tmp_path, store=request.param)
    assert guarded.message("CreateTable", table()) == ""
    yield guarded
    guarded.close()


def table(**more: Any) -> dict[str, Any]:
    return {
        "TableName": "notes",
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    } | more


def granting(principal: str, *actions: str, **elements: Any) -> str:
    return document(statement([*actions], Principal={"AWS": principal}, **elements))


def put(database: GuardedDatabase, text: str, **more: Any) -> str:
    return database.as_(ROOT).message("PutResourcePolicy", {"ResourceArn": NOTES, "Policy": text} | more)


def get(database: GuardedDatabase, name: str = "notes") -> str:
    return database.message("GetItem", {"TableName": name, "Key": KEY})


def test_a_policy_of_the_table_lets_a_user_in_and_another_out(database: GuardedDatabase) -> None:
    alice, bob = user("alice"), user("bob", allow("dynamodb:*"))
    denial = statement("dynamodb:GetItem", Effect="Deny", Principal={"AWS": bob.arn})
    both = document(statement("dynamodb:GetItem", Principal={"AWS": alice.arn}), denial)
    assert put(database, both) == ""
    assert get(database.as_(alice)) == ""
    assert "because no identity-based policy allows" in get(database.as_(user("carol")))
    assert get(database.as_(bob)).endswith("with an explicit deny in a resource-based policy")
    assert database.as_(ROOT).message("DeleteResourcePolicy", {"ResourceArn": NOTES}) == ""
    assert "AccessDenied" in get(database.as_(alice))
    assert get(database.as_(bob)) == ""


def test_the_role_is_limited_where_its_session_is_not(database: GuardedDatabase) -> None:
    limited = session("worker", "one", session_policies=(allow("s3:*"),))
    assert put(database, granting(limited.role_arn, "dynamodb:GetItem")) == ""
    assert "no session policy allows" in get(database.as_(limited))
    assert get(database.as_(session("worker", "one"))) == ""
    assert put(database, granting(limited.arn, "dynamodb:GetItem")) == ""
    assert get(database.as_(limited)) == ""


def outsider(*policies: Policy) -> Any:
    return user("eve", *policies, account=OTHER)


def test_across_accounts_both_sides_have_to_allow(database: GuardedDatabase) -> None:
    eve = outsider(allow("dynamodb:*"))
    assert get(database.as_(eve), NOTES).endswith(
        "because no resource-based policy allows the dynamodb:GetItem action"
    )
    assert get(database.as_(eve)) == "ResourceNotFoundException: Requested resource not found"
    assert put(database, granting(OTHER, "dynamodb:*")) == ""
    assert "no identity-based policy allows" in get(database.as_(outsider()), NOTES)
    database.as_(eve)
    assert get(database, NOTES) == ""
    by_arn = {"TableName": NOTES}
    assert database.message("PutItem", by_arn | {"Item": KEY}) == ""
    assert database.call("Scan", by_arn)[1]["Items"] == [KEY]
    batch = database.call("BatchGetItem", {"RequestItems": {NOTES: {"Keys": [KEY]}}})
    assert batch[1]["Responses"] == {NOTES: [KEY]}
    update = by_arn | {"Key": KEY, "UpdateExpression": "SET x = p"}
    assert database.message("TransactWriteItems", {"TransactItems": [{"Update": update}]}) == ""
    assert database.call("DescribeTable", by_arn)[1]["Table"]["TableArn"] == NOTES
    assert database.call("ExecuteStatement", {"Statement": f'SELECT x FROM "{NOTES}"'})[1]["Items"] == [
        {"x": {"S": "a"}}
    ]
    described = database.as_(ROOT).call("ListTables", {})
    assert described[1]["TableNames"] == ["notes"]
    assert database.as_(eve).call("ListTables", {})[1]["TableNames"] == []
    assert database.message("PutResourcePolicy", {"ResourceArn": NOTES, "Policy": "{}"}) == (
        "ValidationException: This action is only supported by accounts that match the resource owner’s account."
    )


def test_a_stream_has_a_policy_of_its_own(database: GuardedDatabase) -> None:
    stream = database.call("DescribeTable", {"TableName": "notes"})[1]["Table"]["LatestStreamArn"]
    eve = outsider(allow("dynamodb:*"))
    assert put(database, granting(OTHER, "dynamodb:*")) == ""
    assert not database.as_(eve).allows("DescribeStream", {"StreamArn": stream})
    text = granting(OTHER, "dynamodb:DescribeStream", "dynamodb:Get*")
    assert put(database, text, ResourceArn=stream) == ""
    described = database.as_(eve).call("DescribeStream", {"StreamArn": stream})
    assert described[0] == 200
    shard = described[1]["StreamDescription"]["Shards"][0]["ShardId"]
    begin = {"StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    assert database.message("GetRecords", database.call("GetShardIterator", begin)[1]) == ""


def test_the_guard_asks_whether_the_caller_could_put_a_policy_again(database: GuardedDatabase) -> None:
    alice = user("alice")
    mine = granting(alice.arn, "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy")
    assert put(database, mine) == ""
    other = {"ResourceArn": NOTES, "Policy": granting(alice.arn, "dynamodb:GetItem")}
    refusal = "The new resource policy will not allow you to update the resource policy in the future."
    assert database.as_(alice).message("PutResourcePolicy", other) == f"AccessDeniedException: {refusal}"
    assert database.message("PutResourcePolicy", other | {"ConfirmRemoveSelfResourceAccess": True}) == ""
    assert not database.allows("PutResourcePolicy", {"ResourceArn": NOTES, "Policy": mine})


def test_a_policy_given_with_create_table_needs_the_permission_to_put_it(database: GuardedDatabase) -> None:
    new = table(TableName="others", ResourcePolicy=granting(OTHER, "dynamodb:GetItem"))
    creator = user("a", allow("dynamodb:CreateTable"))
    assert "dynamodb:PutResourcePolicy on resource" in database.as_(creator).message("CreateTable", new)
    assert database.as_(user("a", allow(["dynamodb:*Table", "dynamodb:Put*"]))).message("CreateTable", new) == ""
    assert get(database.as_(outsider(allow("dynamodb:*"))), f"{TABLES}others") == ""


def test_a_policy_goes_with_its_table(database: GuardedDatabase) -> None:
    assert put(database, granting(OTHER, "dynamodb:*")) == ""
    assert database.message("DeleteTable", {"TableName": "notes"}) == ""
    assert database.message("CreateTable", table()) == ""
    assert not database.as_(outsider(allow("dynamodb:*"))).allows("DescribeTable", {"TableName": NOTES})


@pytest.mark.parametrize("principal", ["user/a/bob", "role/worker"])
def test_a_policy_names_nobody_who_is_not_there(database: GuardedDatabase, principal: str) -> None:
    """Or whoever makes one of that name later had the access. Recorded from AWS in October 2026
    (aws-controllers-k8s/dynamodb-controller, docs/api-quirks, DDB-TABLE-210, -352)."""
    refused = (
        "ValidationException: One or more parameter values were invalid: Invalid principal in policy document."
    )
    policy = granting(f"arn:aws:iam::{ACCOUNT}:{principal}", "dynamodb:GetItem")
    assert put(database, policy) == "", "nobody is known of an account that is not on this server"

    database.run(database.storage.write(lambda tx: save(tx, ACCOUNT, Account(ACCOUNT, 0.0))))
    other = granting(f"arn:aws:iam::{ACCOUNT}:{principal}", "dynamodb:PutItem")
    assert put(database, other) == refused
    created = table(TableName="other", ResourcePolicy=other)
    assert database.as_(ROOT).message("CreateTable", created) == refused
    assert get(database.as_(ROOT), "other").startswith("ResourceNotFoundException")
    assert put(database, policy) == "", "nothing changes"

    kinds: dict[str, Record] = {
        "user/a/bob": User("bob", "/a/", "AIDA1", 0.0),
        "role/worker": Role("worker", "/", "AROA1", 0.0),
    }
    database.run(database.storage.write(lambda tx: save(tx, ACCOUNT, kinds[principal])))
    assert put(database, other) == ""
