#!/usr/bin/env bash
# Runs the benchmarks of single parts and prints their figures, in about four
# minutes: scripts/bench.sh, or only some of them: scripts/bench.sh apply peer
#
# scripts/bench.sh peers [options] compares whole clusters with etcd and Redis
# where they are installed, in about ten minutes; bench/peers has the options.
#
# Other figures of whole clusters: scripts/failover.sh, bench/load, bench/watch.

set -u
cd "$(dirname "$0")/.." || exit 1

parts="memory snapshot persisting apply storage peer http watch"

part() {
  case $1 in
    memory) bench ./fsm Memory 1x ;; # bytes a group of 20 counters
    snapshot) bench ./fsm 'Snapshot|Persist$|Restore|List' 5x ;; # of 200,000 groups
    persisting) bench ./fsm Persisting 100000x ;; # entries applied while snapshots are written
    apply) bench ./fsm 'Apply$|Read|Decode' 1s ;;
    storage) bench ./storage 'StoreLogs$' 1s && bench ./storage DuringCompaction 3x ;;
    peer) bench ./peer Calls 200000x ;;
    http) bench ./httpapi 'Handler|Server' 1s ;;
    watch) bench ./watch . 1s ;;
    *) echo "there is no part $1; the parts are $parts" >&2; return 2 ;;
  esac
}

bench() { # $1: package, $2: which, $3: how long or how often
  go test -run '^$' -bench "$2" -benchtime "$3" -timeout 10m "$1"
}

# peers builds Tally and the comparison, and runs it.
peers() {
  local missing="" program dir result
  for program in etcd:etcd-server redis-server:redis-server; do
    command -v "${program%%:*}" >/dev/null || missing="$missing ${program##*:}"
  done
  [ -z "$missing" ] || echo "To compare with all peers (Debian): apt-get install -y$missing" >&2
  dir=$(mktemp -d) || return 1
  go build -o "$dir/tallyd" ./cmd/node && (cd bench/peers && go build -o "$dir/peers" .) && "$dir/peers" --tallyd "$dir/tallyd" "$@"
  result=$?
  rm -rf "$dir"
  return $result
}

if [ "${1:-}" = peers ]; then
  shift
  peers "$@"
  exit
fi

failed=0
# shellcheck disable=SC2086 # names are words
[ $# -gt 0 ] || set -- $parts
for name in "$@"; do
  echo "--- $name"
  part "$name" || failed=1
done
exit $failed
