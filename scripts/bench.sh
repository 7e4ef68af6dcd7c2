#!/usr/bin/env bash
# Runs the benchmarks of single parts and prints their figures, in about four
# minutes: scripts/bench.sh, or only some of them: scripts/bench.sh apply peer
#
# Figures of whole clusters: scripts/failover.sh, bench/load, bench/watch.

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

failed=0
# shellcheck disable=SC2086 # names are words
[ $# -gt 0 ] || set -- $parts
for name in "$@"; do
  echo "--- $name"
  part "$name" || failed=1
done
exit $failed
