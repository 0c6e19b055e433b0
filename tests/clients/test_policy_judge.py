"""Decisions on generated policies and requests, compared with an independent implementation of AWS's rules,
@cloud-copilot/iam-simulate, which `policies/judge.js` runs. Every difference has to be one that is explained
here."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from blotter.database.security.policy import AccessRequest, Caller, Decision, PolicySet, evaluate, parse_policy
from blotter.database.security.policy.document import DocumentKind, Policy
from blotter.database.security.policy.evaluation import narrow
from tests.clients.generated_policies import HERE, Case, cases
from tests.npm import node_with_packages

FOLDER = Path(__file__).parent / "policies"
NAMES = {"allowed": "Allowed", "implicit-deny": "ImplicitlyDenied", "explicit-deny": "ExplicitlyDenied"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> str:
    return node_with_packages(FOLDER, tmp_path_factory.getbasetemp().parent)


@pytest.mark.parametrize(("seed", "count"), [(1, 300), pytest.param(2, 12_000, marks=pytest.mark.slow)])
def test_decisions_are_those_of_the_simulator(node: str, seed: int, count: int) -> None:
    given = cases(seed, count)
    lines = "".join(json.dumps(case) + "\n" for case in given)
    done = subprocess.run([node, "judge.js"], cwd=FOLDER, input=lines, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    judged = done.stdout.splitlines()
    assert len(judged) == count
    unexplained = []
    seen: Counter[str] = Counter()
    for case, verdict in zip(given, judged, strict=True):
        decision = decide(case)
        ours = NAMES[decision.reason]
        seen[ours] += 1
        if ours != verdict and not explained(case, decision, verdict):
            unexplained.append(f"ours {ours}, theirs {verdict}: {json.dumps(case)}")
    assert not unexplained, f"{len(unexplained)} differences:\n" + "\n".join(unexplained[:3])
    # The comparison says something only if every outcome occurs often.
    assert min(seen[name] for name in NAMES.values()) > count // 10, seen


def test_a_decision_that_is_kept_is_that_of_every_request() -> None:
    constant = 0
    for case in cases(3, 250):
        policies = policies_of(case)
        kept = narrow(caller(case), case["action"], case["resource"], policies).constant
        if kept is not None:
            constant += 1
            for context in ({}, context_of(case)):
                request = AccessRequest(case["action"], case["resource"], caller(case), context)
                decision = evaluate(request, policies)
                assert (kept.allowed, kept.reason) == (decision.allowed, decision.reason)
    assert constant > 25


def decide(case: Case) -> Decision:
    request = AccessRequest(case["action"], case["resource"], caller(case), context_of(case))
    return evaluate(request, policies_of(case))


def context_of(case: Case) -> dict[str, tuple[str, ...]]:
    return {
        key.lower(): tuple(value) if isinstance(value, list) else (value,)
        for key, value in case["context"].items()
    }


def policies_of(case: Case) -> PolicySet:
    kind: DocumentKind = "trust" if case["action"] == "sts:AssumeRole" else "resource"
    return PolicySet(
        tuple(parsed(policy, "identity") for policy in case["identity"]),
        parsed(case["boundary"], "identity") if "boundary" in case else None,
        (parsed(case["session"], "identity"),) if "session" in case else None,
        parsed(case["resourcePolicy"], kind) if "resourcePolicy" in case else None,
        HERE,
    )


def caller(case: Case) -> Caller:
    arn = case["principal"]
    account = arn.split(":")[4]
    if ":user/" in arn:
        return Caller("user", account, arn)
    return Caller("assumed-role", account, arn, f"arn:aws:iam::{account}:role/{arn.split('/')[1]}")


def parsed(policy: object, kind: DocumentKind) -> Policy:
    return parse_policy(json.dumps(policy), kind)


def explained(case: Case, decision: Decision, verdict: str) -> bool:
    """AWS documents that what a resource policy of the account grants to a session itself is not limited by
    session policies (access_policies_boundaries.html); the simulator limits it all the same."""
    return (
        "session" in case
        and decision.allowed
        and verdict == "ImplicitlyDenied"
        and any(match.kind == "resource" for match in decision.matched)
        and not any(match.kind == "session" for match in decision.matched)
    )
