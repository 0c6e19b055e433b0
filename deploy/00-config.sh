# shellcheck shell=bash
# The central configuration of the deployment scripts: sourced by them, runs nothing.
# The same names and values as blotter.toml (a test compares). A variable that is already set wins, so AWS_PROFILE,
# AWS_REGION, AWS_ENDPOINT_URL_DYNAMODB and RESULTS_TABLE can all be given from outside.

BLOTTER_ENV="${BLOTTER_ENV:-dev}"

case "$BLOTTER_ENV" in
    dev | test) AWS_ENDPOINT_URL_DYNAMODB="${AWS_ENDPOINT_URL_DYNAMODB:-http://127.0.0.1:8000}" ;;
    prod) ;; # Amazon DynamoDB
    *)
        echo "00-config.sh: no environment '$BLOTTER_ENV'; set BLOTTER_ENV to dev, test or prod" >&2
        return 1
        ;;
esac

AWS_REGION="${AWS_REGION:-${AWS_DEFAULT_REGION:-us-east-1}}"
AWS_DEFAULT_REGION="$AWS_REGION" # the AWS CLI's first version reads this one
RESULTS_TABLE="${RESULTS_TABLE:-chicago-crimes-results-$BLOTTER_ENV}"
AWS_PAGER="" # a script has nobody to page for

if [[ -z "${AWS_PROFILE:-}" ]]; then
    unset AWS_PROFILE # to the AWS CLI an empty one is a profile without a name
fi
# No default for AWS_PROFILE: without one the AWS CLI's own chain decides (keys in the environment, a role, the
# profile "default"), which is what a pipeline has.
export BLOTTER_ENV AWS_REGION AWS_DEFAULT_REGION RESULTS_TABLE AWS_PAGER
if [[ -n "${AWS_ENDPOINT_URL_DYNAMODB:-}" ]]; then
    export AWS_ENDPOINT_URL_DYNAMODB
fi
