# shellcheck shell=bash
# The central configuration of the deployment scripts: sourced by them, runs nothing.
# The same names, values and precedence as blotter.toml (a test compares): a variable that is already set wins, so
# AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL, and RESULTS_TABLE can be given from outside.
# AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true makes the two endpoint variables count for nothing, as it does in the SDKs.

BLOTTER_ENV="${BLOTTER_ENV:-dev}"

case "$BLOTTER_ENV" in
    dev | test) endpoint="http://127.0.0.1:8000" ;;
    prod) endpoint="" ;; # Amazon DynamoDB
    *)
        echo "00-config.sh: no environment '$BLOTTER_ENV'; set BLOTTER_ENV to dev, test or prod" >&2
        return 1
        ;;
esac
if [[ "${AWS_IGNORE_CONFIGURED_ENDPOINT_URLS:-}" != [Tt][Rr][Uu][Ee] ]]; then
    endpoint="${AWS_ENDPOINT_URL_DYNAMODB:-${AWS_ENDPOINT_URL:-$endpoint}}"
fi
# From here on the endpoint is settled: neither a variable nor a profile of the AWS CLI may name another.
if [[ -n "$endpoint" ]]; then
    AWS_ENDPOINT_URL_DYNAMODB="$endpoint"
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false
    export AWS_ENDPOINT_URL_DYNAMODB
else
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true
    unset AWS_ENDPOINT_URL_DYNAMODB
fi

# This machine is not reached through a proxy.
NO_PROXY="${NO_PROXY:-${no_proxy:-}}"
NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost,::1"
no_proxy="$NO_PROXY"

AWS_REGION="${AWS_REGION:-${AWS_DEFAULT_REGION:-us-east-1}}"
AWS_DEFAULT_REGION="$AWS_REGION" # the AWS CLI's first version reads this one
RESULTS_TABLE="${RESULTS_TABLE:-chicago-crimes-results-$BLOTTER_ENV}"
AWS_PAGER="" # no pager in a script

if [[ -z "${AWS_PROFILE:-}" ]]; then
    unset AWS_PROFILE # to the AWS CLI an empty one is a profile without a name
fi
# No default for AWS_PROFILE: without one the AWS CLI's own chain decides (keys in the environment, a role, the
# profile "default"), which is what a pipeline has.
export BLOTTER_ENV AWS_REGION AWS_DEFAULT_REGION RESULTS_TABLE AWS_PAGER AWS_IGNORE_CONFIGURED_ENDPOINT_URLS
export NO_PROXY no_proxy
