"""Random calls about users, groups and policies against a model in a few dictionaries: the same successes, the
same kinds of refusals, the same lists."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.iam_in_process import ACCOUNT, IamInProcess, Refused, allow

NAMES = st.sampled_from(["a", "A", "b", "c"])


class IamModel(RuleBasedStateMachine):
    """Names are lower-cased in the model, which knows users with their groups, groups, and policies."""

    def __init__(self) -> None:
        super().__init__()
        self.iam = IamInProcess()
        self.users: dict[str, set[str]] = {}
        self.attached: dict[str, set[str]] = {}
        self.groups: set[str] = set()
        self.policies: set[str] = set()

    def teardown(self) -> None:
        self.iam.close()

    def _expect(self, code: str, operation: str, **arguments: Any) -> bool:
        """Calls; True if it was to succeed, for the code "", and did."""
        found = ""
        try:
            self.iam.call(operation, **arguments)
        except Refused as error:
            found = error.code
        assert found == code, (operation, arguments)
        return not code

    @rule(name=NAMES)
    def create_user(self, name: str) -> None:
        code = "EntityAlreadyExists" if name.lower() in self.users else ""
        if self._expect(code, "CreateUser", UserName=name):
            self.users[name.lower()], self.attached[name.lower()] = set(), set()

    @rule(name=NAMES)
    def delete_user(self, name: str) -> None:
        key = name.lower()
        used = self.users.get(key) or self.attached.get(key)
        code = "NoSuchEntity" if key not in self.users else "DeleteConflict" if used else ""
        if self._expect(code, "DeleteUser", UserName=name):
            del self.users[key], self.attached[key]

    @rule(name=NAMES, new=NAMES)
    def rename_user(self, name: str, new: str) -> None:
        key, to = name.lower(), new.lower()
        code = "NoSuchEntity" if key not in self.users else ""
        if not code and to != key and to in self.users:
            code = "EntityAlreadyExists"
        if self._expect(code, "UpdateUser", UserName=name, NewUserName=new):
            self.users[to], self.attached[to] = self.users.pop(key), self.attached.pop(key)

    @rule(name=NAMES)
    def create_group(self, name: str) -> None:
        code = "EntityAlreadyExists" if name.lower() in self.groups else ""
        if self._expect(code, "CreateGroup", GroupName=name):
            self.groups.add(name.lower())

    @rule(name=NAMES)
    def delete_group(self, name: str) -> None:
        key = name.lower()
        used = any(key in groups for groups in self.users.values())
        code = "NoSuchEntity" if key not in self.groups else "DeleteConflict" if used else ""
        if self._expect(code, "DeleteGroup", GroupName=name):
            self.groups.remove(key)

    @rule(name=NAMES, new=NAMES)
    def rename_group(self, name: str, new: str) -> None:
        key, to = name.lower(), new.lower()
        code = "NoSuchEntity" if key not in self.groups else ""
        if not code and to != key and to in self.groups:
            code = "EntityAlreadyExists"
        if self._expect(code, "UpdateGroup", GroupName=name, NewGroupName=new):
            self.groups = (self.groups - {key}) | {to}
            for user, groups in self.users.items():
                self.users[user] = {to if group == key else group for group in groups}

    @rule(user=NAMES, group=NAMES, joins=st.booleans())
    def membership(self, user: str, group: str, joins: bool) -> None:
        there = user.lower() in self.users and group.lower() in self.groups
        operation = "AddUserToGroup" if joins else "RemoveUserFromGroup"
        if self._expect("" if there else "NoSuchEntity", operation, UserName=user, GroupName=group):
            change = self.users[user.lower()].add if joins else self.users[user.lower()].discard
            change(group.lower())

    @rule(name=NAMES)
    def create_policy(self, name: str) -> None:
        code = "EntityAlreadyExists" if name.lower() in self.policies else ""
        if self._expect(code, "CreatePolicy", PolicyName=name.lower(), PolicyDocument=allow("a:b")):
            self.policies.add(name.lower())

    @rule(name=NAMES)
    def delete_policy(self, name: str) -> None:
        key = name.lower()
        used = any(key in attached for attached in self.attached.values())
        code = "NoSuchEntity" if key not in self.policies else "DeleteConflict" if used else ""
        if self._expect(code, "DeletePolicy", PolicyArn=_arn(key)):
            self.policies.remove(key)

    @rule(user=NAMES, policy=NAMES, attaches=st.booleans())
    def attachment(self, user: str, policy: str, attaches: bool) -> None:
        key, name = user.lower(), policy.lower()
        there = key in self.users and (name in self.policies if attaches else name in self.attached[key])
        operation = "AttachUserPolicy" if attaches else "DetachUserPolicy"
        if self._expect("" if there else "NoSuchEntity", operation, UserName=user, PolicyArn=_arn(name)):
            change = self.attached[key].add if attaches else self.attached[key].discard
            change(name)

    @invariant()
    def the_lists_agree(self) -> None:
        details = self.iam.call("GetAccountAuthorizationDetails")
        assert {
            user["UserName"].lower(): (
                {group.lower() for group in user["GroupList"]},
                {policy["PolicyName"] for policy in user["AttachedManagedPolicies"]},
            )
            for user in details["UserDetailList"]
        } == {user: (self.users[user], self.attached[user]) for user in self.users}
        assert {group["GroupName"].lower() for group in details["GroupDetailList"]} == self.groups
        assert {policy["PolicyName"] for policy in details["Policies"]} == self.policies


def _arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:policy/{name}"


TestIamModel = IamModel.TestCase
TestIamModel.settings = settings(max_examples=15, stateful_step_count=25)
