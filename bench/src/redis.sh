# Runs one Redis server in a temporary directory until standard input ends, and then removes the directory. The server
# appends each write to a file, which it flushes to the disk once a second.
set -u
trap '' PIPE
dir=$(mktemp -d /tmp/throwaway-redis.XXXXXX) || exit 1
server=

end() {
  if [ -n "$server" ]; then
    kill "$server"
    wait "$server"
  fi 2>/dev/null
  rm -rf "$dir"
}

trap end EXIT
trap 'exit 1' HUP INT TERM

redis-server --port 0 --unixsocket "$dir/socket" --dir "$dir" --save '' --appendonly yes --appendfsync everysec \
  >"$dir/log" 2>&1 </dev/null &
server=$!
tries=0
until [ -S "$dir/socket" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 600 ] || ! kill -0 "$server"; then
    cat "$dir/log" >&2
    exit 1
  fi
  sleep 0.05
done
echo "$dir"

cat >/dev/null
