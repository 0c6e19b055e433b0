#!/bin/sh
# What pip cannot bring: the OpenMP library that LightGBM's wheel links to, and a Chromium for the browser tests.
# Installs Debian's packages when this is root on a machine with apt-get; otherwise says what is missing.
# usage: system_packages.sh run|test PYTHON
set -eu
purpose=$1
python=$2
missing=""
"$python" -c 'import lightgbm' >/dev/null 2>&1 || missing="$missing libgomp1"
if [ "$purpose" = test ]; then
  command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
    command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing system packages:$missing"
  # shellcheck disable=SC2086
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
    >/dev/null 2>&1 || { echo "apt-get could not install:$missing" >&2; exit 1; }
  exit 0
fi
case $missing in
  *libgomp1*) echo "The OpenMP library is missing; install it (Debian: apt-get install libgomp1) and run again." >&2; exit 1 ;;
esac
echo "No Chromium found: the browser tests will be skipped. Install it (Debian: apt-get install chromium)." >&2
