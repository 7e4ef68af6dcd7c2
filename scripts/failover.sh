#!/usr/bin/env bash
# Measures the write gap when the leader is killed with SIGKILL, on a cluster of
# its own beside any other: scripts/failover.sh [--trials 20] [--clients 12] [--json]

set -u
cd "$(dirname "$0")/.." || exit 1

work=$(mktemp -d "${TMPDIR:-/tmp}/tally-failover.XXXXXX") || exit 1
export TALLY_CLUSTER_DIR=$work/cluster
export TALLY_HTTP_PORT=28101 TALLY_PEER_PORT=29101

finish() { # $1: exit code
  trap - EXIT INT TERM HUP
  scripts/cluster.sh clean >/dev/null 2>&1
  rm -rf "$work"
  exit "$1"
}
trap 'finish 1' INT TERM HUP
trap 'finish $?' EXIT

scripts/cluster.sh up >/dev/null || exit 1
go run ./bench/failover \
  --endpoints http://127.0.0.1:28101,http://127.0.0.1:28102,http://127.0.0.1:28103 "$@"
