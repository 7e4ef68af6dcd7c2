#!/usr/bin/env bash
# Measures rates and latencies of requests on a cluster of its own beside any
# other, each kind three times, in about six minutes: scripts/load.sh [--time 10s]

set -u
cd "$(dirname "$0")/.." || exit 1

work=$(mktemp -d "${TMPDIR:-/tmp}/tally-load.XXXXXX") || exit 1
export TALLY_CLUSTER_DIR=$work/cluster
export TALLY_HTTP_PORT=27301 TALLY_PEER_PORT=27401

finish() { # $1: exit code
  trap - EXIT INT TERM HUP
  scripts/cluster.sh clean >/dev/null 2>&1
  rm -rf "$work"
  exit "$1"
}
trap 'finish 1' INT TERM HUP
trap 'finish $?' EXIT

go build -o "$work/load" ./bench/load || exit 1

load() { # flags of bench/load
  "$work/load" --endpoints http://127.0.0.1:27301,http://127.0.0.1:27302,http://127.0.0.1:27303 "$@" || exit 1
}

scripts/cluster.sh up >/dev/null || exit 1
load --time 3s --target all >/dev/null # nobody's first request is measured
for target in leader follower; do
  for connections in 1 64 256; do
    load --runs 3 --work increase --target $target --connections $connections "$@"
  done
  load --runs 3 --work read --target $target "$@"
  load --runs 3 --work stale --target $target "$@"
done
load --runs 3 --work batch "$@"

# Memory, and on a cluster without anything else in it.
scripts/cluster.sh clean >/dev/null || exit 1
scripts/cluster.sh up >/dev/null || exit 1
load --work fill --groups 200000 --connections 8 --time 5m
