#!/bin/sh
# Makes a standby the primary. Stop the old primary first, if it can be reached.
#
# usage: promote.sh URL [STANDBY…]
#     URL      of the standby that is to be promoted, as psql takes it, of a superuser
#     STANDBY  names (application_name) of the standbys that the new primary waits for; without one, it waits for none
#
# The standby is cut from the old primary before anything else: from then on nothing more is acknowledged there. Then
# it waits for longer than front ends may answer reads from the old primary (0.5 s after the last confirmed commit).
# Front ends wait for that by themselves too, so that any other tool that promotes a standby will do as well.
set -eu
[ $# -ge 1 ] || { echo "usage: promote.sh URL [STANDBY…]" >&2; exit 64; }
url=$1
shift
ask() { psql "$url" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"; }

if [ "$(ask 'SELECT pg_is_in_recovery()')" != t ]; then
    echo "promote.sh: that server is no standby; nothing was done" >&2
    exit 1
fi
ask "ALTER SYSTEM SET primary_conninfo = ''"
ask 'SELECT pg_reload_conf()' >/dev/null
until [ "$(ask 'SELECT count(*) FROM pg_stat_wal_receiver')" = 0 ]; do sleep 0.1; done
sleep "${PROMOTE_WAIT:-1}"

names=$(printf '"%s",' "$@")
if [ $# -gt 0 ]; then
    ask "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (${names%,})'"
else
    ask "ALTER SYSTEM SET synchronous_standby_names = ''"
    echo "promote.sh: no standby confirms commits now; name one as soon as it follows" >&2
fi
if [ "$(ask 'SELECT pg_promote(true, 60)')" != t ]; then
    echo "promote.sh: the server has not become the primary within a minute" >&2
    exit 1
fi
echo "promote.sh: promoted"
