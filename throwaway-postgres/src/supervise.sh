# Runs one PostgreSQL in a directory of its own and obeys the commands on standard input. When that ends,
# because its owner is done or was killed, the server ends and the directory goes.
# $1: the directory of the server's binaries. The other arguments go to the server.
set -u
trap '' PIPE
bin=$1
shift
dir=$(mktemp -d /tmp/throwaway-postgres.XXXXXX) || exit 1
cd "$dir" || exit 1
server=

# Sends a signal to the server and its children, which have sessions of their own.
signal_all() {
  kill "-$1" "$server" $(cat "/proc/$server/task/$server/children")
}

end() {
  if [ -n "$server" ]; then
    signal_all CONT
    kill -QUIT "$server"
    wait "$server"
    server=
  fi 2>/dev/null
}

trap 'end; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

start() {
  "$bin/postgres" -D "$dir/data" -k "$dir" -h '' "$@" >>"$dir/log" 2>&1 </dev/null &
  server=$!
  tries=0
  until "$bin/pg_isready" -q -h "$dir"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ] || ! kill -0 "$server"; then
      cat "$dir/log" >&2
      exit 1
    fi
    sleep 0.05
  done
}

"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1 || {
  cat "$dir/log" >&2
  exit 1
}
start "$@"
echo "$dir"

while read -r command; do
  case $command in
    stop) end ;;
    start) start "$@" ;;
    pause) signal_all STOP ;;
    resume) signal_all CONT ;;
  esac
  echo "$command"
done
