#!/bin/sh
# Entrypoint of the standby: copies the primary when the data directory is empty, and starts PostgreSQL.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    export PGPASSWORD="$REPLICATION_PASSWORD"
    until gosu postgres pg_basebackup -D "$PGDATA" --checkpoint=fast --write-recovery-conf \
        -d "host=$PRIMARY user=replicator application_name=$STANDBY"; do
        sleep 2
        find "$PGDATA" -mindepth 1 -delete
    done
fi
exec docker-entrypoint.sh "$@"
