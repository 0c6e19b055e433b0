#!/usr/bin/env bash
# The results table, made or found: safe to run again at any time, and several times at once. `blotter tables apply`
# does the same and verifies more (an existing table's key, for one); this script needs nothing but the AWS CLI.
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

# Runs a command, shows its stdout, and fails with its stderr unless that has the error code $1; then it prints "$2".
unless() {
    local code="$1" instead="$2" errors status=0
    shift 2
    { errors="$("$@" 2>&1 >&3)" || status=$?; } 3>&1
    if [[ "$status" == 0 ]]; then return; fi
    if [[ "$errors" == *"$code"* ]]; then
        echo "$instead"
        return
    fi
    echo "$errors" >&2
    exit 1
}

# MISSING is what DynamoDB calls missing; any other failure (no credentials, no endpoint) ends the script.
table_status() {
    unless ResourceNotFoundException MISSING \
        dynamodb describe-table --table-name "$RESULTS_TABLE" --query 'Table.TableStatus' --output text
}

create_table() {
    dynamodb create-table \
        --table-name "$RESULTS_TABLE" \
        --attribute-definitions AttributeName=file_key,AttributeType=S \
        --key-schema AttributeName=file_key,KeyType=HASH \
        --billing-mode PAY_PER_REQUEST >/dev/null
}

status="$(table_status)"
if [[ "$status" != MISSING ]]; then
    echo "Table $RESULTS_TABLE exists: $status"
fi

if [[ "$status" == DELETING ]]; then
    echo "Waiting until the old table is gone ..."
    dynamodb wait table-not-exists --table-name "$RESULTS_TABLE"
    status=MISSING
fi

if [[ "$status" == MISSING ]]; then
    echo "Creating table $RESULTS_TABLE ..."
    # Another run may have made it since the look above; then it is waited for like any other.
    unless ResourceInUseException "Table $RESULTS_TABLE was created meanwhile" create_table
fi

dynamodb wait table-exists --table-name "$RESULTS_TABLE"
status="$(table_status)"
echo "Table $RESULTS_TABLE is $status"
[[ "$status" == ACTIVE ]]
