#!/usr/bin/env bash
# The results table, made or found: safe to run again at any time. `blotter tables apply` does the same and verifies
# more (an existing table's key, for one); this script needs nothing but the AWS CLI.
set -euo pipefail

# shellcheck source=deploy/00-config.sh
source "$(dirname "$0")/00-config.sh" || {
    echo "05-create-dynamodb.sh: cannot load 00-config.sh beside it" >&2
    exit 1
}

# The AWS CLI for DynamoDB, with the profile when there is one.
dynamodb() {
    aws ${AWS_PROFILE:+--profile "$AWS_PROFILE"} dynamodb "$@"
}

# Missing is what DynamoDB says is missing; any other failure (no credentials, no endpoint) ends the script.
table_exists() {
    local error
    error="$(dynamodb describe-table --table-name "$RESULTS_TABLE" 2>&1 >/dev/null)" && return
    [[ "$error" == *ResourceNotFoundException* ]] && return 1
    echo "$error" >&2
    exit 1
}

table_status() {
    dynamodb describe-table --table-name "$RESULTS_TABLE" --query 'Table.TableStatus' --output text
}

status=MISSING
if table_exists; then
    status="$(table_status)"
    echo "Table $RESULTS_TABLE exists: $status"
fi

if [[ "$status" == DELETING ]]; then
    echo "Waiting until the old table is gone ..."
    dynamodb wait table-not-exists --table-name "$RESULTS_TABLE"
    status=MISSING
fi

if [[ "$status" == MISSING ]]; then
    echo "Creating table $RESULTS_TABLE ..."
    dynamodb create-table \
        --table-name "$RESULTS_TABLE" \
        --attribute-definitions AttributeName=file_key,AttributeType=S \
        --key-schema AttributeName=file_key,KeyType=HASH \
        --billing-mode PAY_PER_REQUEST >/dev/null
fi

dynamodb wait table-exists --table-name "$RESULTS_TABLE"
status="$(table_status)"
echo "Table $RESULTS_TABLE is $status"
[[ "$status" == ACTIVE ]]
