#!/bin/bash
# Opens InfluxDB 1.x and closes it again, before anybody may write to it. Its words are those of influxd: -config FILE
#
# Killed while it writes (power, memory), InfluxDB leaves a torn entry at the end of its log. The next start cuts it off
# and writes on where it had ended; the start after that finds the hole and drops all behind it, though it was
# acknowledged. Opened once where nobody writes, there is no hole. Seen with 1.6.7. The port: OPEN_ONCE_PORT, or 18086.
set -euo pipefail

port=${OPEN_ONCE_PORT:-18086}
INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:$port influxd "$@" &
influxd=$!
trap 'kill "$influxd" 2>/dev/null || true' EXIT
until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
  if ! kill -0 "$influxd" 2>/dev/null; then
    echo "open-once: influxd ended before it was open; its own words are above" >&2
    exit 1
  fi
  sleep 0.2
done
kill "$influxd"
wait "$influxd"
