# Runs one MariaDB server in a temporary directory and obeys the commands on standard input. When standard input ends,
# because the owner is done or was killed, the script stops the server and removes the directory. The arguments go to the
# server.
set -u
trap '' PIPE
dir=$(mktemp -d /tmp/throwaway-mariadb.XXXXXX) || exit 1
cd "$dir" || exit 1
# A server that starts deletes the temporary tables of all servers in its temporary directory.
mkdir tmp && export TMPDIR="$dir/tmp" || exit 1
server=
# The server runs as root only if it is told to.
user=
[ "$(id -u)" != 0 ] || user=--user=root

end() {
  if [ -n "$server" ]; then
    kill -CONT "$server"
    kill "-$1" "$server"
    wait "$server"
    server=
    rm -f "$dir/socket"
  fi 2>/dev/null
}

trap 'end KILL; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

start() {
  /usr/sbin/mariadbd --no-defaults $user --datadir="$dir/data" --socket="$dir/socket" --pid-file="$dir/pid" "$@" \
    >>"$dir/log" 2>&1 </dev/null &
  server=$!
  tries=0
  until [ -S "$dir/socket" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 1200 ] || ! kill -0 "$server"; then
      cat "$dir/log" >&2
      exit 1
    fi
    sleep 0.05
  done
}

mariadb-install-db --no-defaults $user --datadir="$dir/data" --auth-root-authentication-method=normal --skip-test-db \
  --skip-name-resolve >"$dir/log" 2>&1 </dev/null || {
  cat "$dir/log" >&2
  exit 1
}
start "$@"
echo "$dir"

# A command can have an argument: `kill all`. This server is one process.
while read -r command _; do
  case $command in
    stop) end TERM ;;
    kill) end KILL ;;
    start) start "$@" ;;
    pause) kill -STOP "$server" ;;
    resume) kill -CONT "$server" ;;
  esac
  echo "$command"
done
