#!/bin/sh
# Makes a standby the primary. Stop the old primary first, if it can be reached.
#
# usage: promote.sh URL [NAME=URL…]
#     URL       of the standby that is to be promoted, as psql takes it, of a superuser
#     NAME=URL  of every other standby that may confirm commits of the old primary, NAME being its application_name;
#               the new primary will wait for one of these. Without any, it waits for none.
#     FOLLOW    in the environment: how those others reach the new primary, as in primary_conninfo, for instance
#               "host=db2 user=replicator passfile=/var/lib/postgresql/.pgpass". They follow it from before its
#               promotion on, so that it can acknowledge writes at once. Without it, that is left to you.
#
# All standbys are cut from the old primary before anything else: from then on nothing is acknowledged there, and what
# was acknowledged is on the standby that has received most, which must be the one to promote. Front ends may answer
# reads from the old primary for 0.5 s after its last confirmed commit; they wait for that by themselves before they
# write to the new one. So any other tool that promotes a standby, and cuts off the others, will do as well.
set -eu
[ $# -ge 1 ] || { echo "usage: promote.sh URL [NAME=URL…]" >&2; exit 64; }
url=$1
shift
ask() { psql "$1" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$2"; }
fail() { echo "promote.sh: $1" >&2; exit 1; }
cut_off() {
    ask "$1" "ALTER SYSTEM SET primary_conninfo = ''"
    ask "$1" 'SELECT pg_reload_conf()' >/dev/null
    until [ "$(ask "$1" 'SELECT count(*) FROM pg_stat_wal_receiver')" = 0 ]; do sleep 0.05; done
}
follow() {  # by way of the environment, which others cannot see
    CONNINFO="$FOLLOW application_name=$2" psql "$1" --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output /dev/null <<'SQL'
\getenv conninfo CONNINFO
ALTER SYSTEM SET primary_conninfo = :'conninfo';
SELECT pg_reload_conf();
SQL
}

for standby in "$url" "$@"; do
    case $standby in postgres*) ;; *=*) standby=${standby#*=} ;; esac
    [ "$(ask "$standby" 'SELECT pg_is_in_recovery()')" = t ] || fail "that server is no standby; nothing was done"
done
cut_off "$url"
lsn='greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())'
received=$(ask "$url" "SELECT $lsn")
names=
for other in "$@"; do
    cut_off "${other#*=}"
    ahead=$(ask "${other#*=}" "SELECT $lsn > '$received'")
    [ "$ahead" = f ] || fail "${other%%=*} has received more: promote that one"
    names="$names${names:+, }\"${other%%=*}\""
done
if [ -n "${FOLLOW:-}" ]; then
    for other in "$@"; do follow "${other#*=}" "${other%%=*}"; done
fi

ask "$url" "ALTER SYSTEM SET synchronous_standby_names = '${names:+ANY 1 ($names)}'"
ask "$url" 'SELECT pg_reload_conf()' >/dev/null
[ "$(ask "$url" 'SELECT pg_promote(true, 60)')" = t ] || fail "the server has not become the primary within a minute"
if [ -z "$names" ]; then
    echo "promote.sh: promoted; no standby confirms its commits: name one as soon as it follows"
elif [ -n "${FOLLOW:-}" ]; then
    echo "promote.sh: promoted; the other standbys follow it"
else
    echo "promote.sh: promoted; let the other standbys follow it (primary_conninfo), until then it acknowledges nothing"
fi
