"""Principals of policies, put in the place of others: what else the document has stays as it was written."""

from __future__ import annotations

import pytest

from blotter.database.services.iam.documents import with_principal

ANN, BEA = "arn:aws:iam::111122223333:user/ann", "arn:aws:iam::111122223333:user/bea"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f'{{"Statement": {{"Principal": {{"AWS": "{ANN}"}} }}}}',
            f'{{"Statement": {{"Principal": {{"AWS": "{BEA}"}} }}}}',
        ),
        (
            f'{{"Statement":[{{}},{{"NotPrincipal":{{"AWS":["x","{ANN}","{ANN}2", "{ANN}"]}}}}]}}',
            f'{{"Statement":[{{}},{{"NotPrincipal":{{"AWS":["x","{BEA}","{ANN}2", "{BEA}"]}}}}]}}',
        ),
        (
            '{"Statement":{"Principal":{"AWS":"arn:aws:iam::111122223333:user\\/\\u0061nn"}}}',
            f'{{"Statement":{{"Principal":{{"AWS":"{BEA}"}}}}}}',
        ),
        (f'{{"Statement":{{"Principal":{{"Service":"{ANN}"}}}}}}', None),
        (f'{{"Statement":{{"Principal":"*","Condition":{{"ArnEquals":{{"aws:PrincipalArn":"{ANN}"}}}}}}}}', None),
    ],
)
def test_only_principals_are_replaced(before: str, after: str | None) -> None:
    assert with_principal(before, ANN, BEA) == (before if after is None else after)
