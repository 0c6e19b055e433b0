"""Inline policies of users, groups and roles: four operations, made for each of the three."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from blotter.database.security.access_records import PolicyHolder, save
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall, get_group, get_role, get_user
from blotter.database.services.iam.documents import check_identity_policy, check_inline_policies
from blotter.database.services.iam.errors import no_such
from blotter.database.services.iam.paging import page
from blotter.database.services.iam.views import document_view
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

Find = Callable[[ReadTransaction, str, str], PolicyHolder]


class InlinePolicies:
    """The operations for one kind: `kind` is "user", "group" or "role", `member` the input's name of the name."""

    def __init__(self, kind: str, member: str, get: Find) -> None:
        self._kind = kind
        self._member = member
        self._get = get

    def put(self, call: IamCall, tx: WriteTransaction) -> Output:
        holder, document = self._holder(call, tx), call.arguments["PolicyDocument"]
        inline = holder.inline | {call.arguments["PolicyName"]: document}
        check_inline_policies(self._kind, holder.name, inline)
        check_identity_policy(document)
        save(tx, call.account, msgspec.structs.replace(holder, inline=inline))
        return {}

    def get(self, call: IamCall, tx: ReadTransaction) -> Output:
        holder, name = self._holder_of_policy(call, tx)
        return {
            self._member: holder.name,
            "PolicyName": name,
            "PolicyDocument": document_view(holder.inline[name]),
        }

    def delete(self, call: IamCall, tx: WriteTransaction) -> Output:
        holder, removed = self._holder_of_policy(call, tx)
        inline = {name: document for name, document in holder.inline.items() if name != removed}
        save(tx, call.account, msgspec.structs.replace(holder, inline=inline))
        return {}

    def list(self, call: IamCall, tx: ReadTransaction) -> Output:
        names = sorted(self._holder(call, tx).inline)
        return page(call, names, str, str, "PolicyNames")

    def _holder(self, call: IamCall, tx: ReadTransaction) -> PolicyHolder:
        return self._get(tx, call.account, call.arguments[self._member])

    def _holder_of_policy(self, call: IamCall, tx: ReadTransaction) -> tuple[PolicyHolder, str]:
        holder, name = self._holder(call, tx), call.arguments["PolicyName"]
        if name not in holder.inline:
            raise no_such(f"{self._kind} policy", name)
        return holder, name


OF_USERS = InlinePolicies("user", "UserName", get_user)
OF_GROUPS = InlinePolicies("group", "GroupName", get_group)
OF_ROLES = InlinePolicies("role", "RoleName", get_role)
