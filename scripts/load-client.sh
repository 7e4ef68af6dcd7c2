#!/usr/bin/env bash
# Measures what one process does with the Go client, on a cluster of its own
# beside any other: scripts/load-client.sh [flags of bench/client], three runs of
# 10 seconds unless they say otherwise.

set -u
cd "$(dirname "$0")/.." || exit 1

work=$(mktemp -d "${TMPDIR:-/tmp}/tally-load.XXXXXX") || exit 1
export TALLY_CLUSTER_DIR=$work/cluster
export TALLY_HTTP_PORT=27501 TALLY_PEER_PORT=27601

finish() { # $1: exit code
  trap - EXIT INT TERM HUP
  scripts/cluster.sh clean >/dev/null 2>&1
  rm -rf "$work"
  exit "$1"
}
trap 'finish 1' INT TERM HUP
trap 'finish $?' EXIT

go build -o "$work/load" ./bench/client || exit 1
scripts/cluster.sh up >/dev/null || exit 1
"$work/load" --endpoints http://127.0.0.1:27501,http://127.0.0.1:27502,http://127.0.0.1:27503 --runs 3 "$@"
