"""The authorize stage of the request path: DynamoDB's actions, resources and context keys for the policies of
`security.policy`. `stage` is called for every request, `item_context` only when a policy asks for its keys."""
