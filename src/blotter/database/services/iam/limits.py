"""IAM's quotas, at their default values.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html; the names are those of
GetAccountSummary and of LimitExceeded messages.
"""

from __future__ import annotations

from typing import Final

USERS: Final = 5000
GROUPS: Final = 300
ROLES: Final = 1000
POLICIES: Final = 1500
GROUPS_OF_USER: Final = 10
KEYS_OF_USER: Final = 2
ATTACHED: Final = 10
"""Managed policies of one user, group or role."""
VERSIONS: Final = 5
TAGS: Final = 50

# Characters without white space, which does not count.
POLICY_SIZE: Final = 6144
TRUST_SIZE: Final = 2048
INLINE_SIZE: Final = {"user": 2048, "group": 5120, "role": 10240}
"""Of all inline policies of one user, group or role together."""

SHORTEST_SESSION: Final = 3600
LONGEST_SESSION: Final = 43200
"""Seconds between which a role's MaxSessionDuration is."""
