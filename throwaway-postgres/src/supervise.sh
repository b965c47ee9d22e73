# Runs one PostgreSQL server in a temporary directory and obeys the commands on standard input. When standard input
# ends, because the owner is done or was killed, the script stops the server and removes the directory. $1 is the
# directory of the server's binaries. $2 is the directory of the primary that this server follows, or empty. The other
# arguments go to the server.
set -u
trap '' PIPE
bin=$1
primary=$2
shift 2
dir=$(mktemp -d /tmp/throwaway-postgres.XXXXXX) || exit 1
cd "$dir" || exit 1
server=

children() {
  cat "/proc/$server/task/$server/children"
}

# Sends a signal to the server and its children, which have their own sessions. The server is first, so that it starts
# no more children.
signal_all() {
  kill "-$1" "$server"
  kill "-$1" $(children)
}

# Lists the server's processes by their working directory. The kernel's list of children misses some while others end.
processes() {
  for process in /proc/[0-9]*; do
    [ ! "$process/cwd" -ef "$dir/data" ] || echo "${process#/proc/}"
  done
}

# Kills the server as a crash does: its children notice that it is gone and end one by one. With `all`, it kills the
# children too. It returns after the last one has ended, because the next server refuses to start before that.
kill_server() {
  kill -KILL "$server"
  [ "$1" != all ] || kill -KILL $(processes)
  wait "$server"
  server=
  tries=0
  while left=$(processes) && [ -n "$left" ] && [ "$tries" -lt 1000 ]; do
    tries=$((tries + 1))
    [ "$1" != all ] || kill -KILL $left
    sleep 0.02
  done
} 2>/dev/null

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

# $1 is the size of the largest file that the server may write, in blocks of 512 bytes, or `unlimited`.
start() {
  limit=$1
  shift
  (
    [ "$limit" = unlimited ] || ulimit -S -f "$limit"
    exec "$bin/postgres" -D "$dir/data" -k "$dir" -h '' "$@" >>"$dir/log" 2>&1 </dev/null
  ) &
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

if [ -n "$primary" ]; then
  "$bin/pg_basebackup" -h "$primary" -U postgres -D "$dir/data" -R -X stream -c fast --no-sync
else
  "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync
fi >"$dir/log" 2>&1 || {
  cat "$dir/log" >&2
  exit 1
}
start unlimited "$@"
echo "$dir"

while read -r command argument; do
  case $command in
    stop) end ;;
    kill) kill_server "$argument" ;;
    start) start "${argument:-unlimited}" "$@" ;;
    promote) "$bin/pg_ctl" -D "$dir/data" -s -w promote >&2 || exit 1 ;;
    pause) signal_all STOP ;;
    resume) signal_all CONT ;;
  esac
  echo "$command"
done
