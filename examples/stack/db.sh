# db.sh init | run | ask | schema: PostgreSQL in a directory of its own.
# Distributions keep its programs off the PATH.
for dir in /usr/lib/postgresql/*/bin; do PATH=$PATH:$dir; done
data=$EXAMPLE_DIR/db/data
export PGHOST=127.0.0.1 PGPORT="${EXAMPLE_PORTS}8" PGUSER=postgres
case $1 in
init)
	test -e "$data/PG_VERSION" ||
		exec initdb -D "$data" -U postgres -A trust -E UTF8 --locale C --no-sync
	;;
run) exec postgres -D "$data" -k "$EXAMPLE_DIR/db" -h "$PGHOST" -p "$PGPORT" ;;
ask) exec pg_isready -q ;;
schema) exec psql -qc 'CREATE TABLE IF NOT EXISTS visits (at timestamptz)' ;;
esac
