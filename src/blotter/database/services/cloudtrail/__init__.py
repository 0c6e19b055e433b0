"""AWS CloudTrail on the one port: `LookupEvents` over the audit trail. Other operations are refused by name."""
