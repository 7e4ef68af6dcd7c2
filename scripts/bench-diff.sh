#!/usr/bin/env bash
# Compares the micro-benchmarks of the working tree with those of a commit, by
# default the one before HEAD, or HEAD where the tree has changes:
#
#   scripts/bench-diff.sh [commit]
#
# The two take turns, six times, so that both see the same machine; benchstat
# tells what differs by more than the noise. It is a report, not a gate: the
# result is 0 whatever the figures. Allocations are exact; times mean little on a
# machine that does something else, whose load average is printed for that reason.
# It takes two to three minutes.

set -u
cd "$(dirname "$0")/.." || exit 1

benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
turns=6

# A package and which of its benchmarks: each of them takes a second at most.
benchmarks='
./fsm       ^Benchmark(Apply|ApplyWithKeys|Read|AppendCommand|DecodeCommand)$
./watch     ^BenchmarkPublish
./httpapi   ^Benchmark(Handler|EncodeEvents)$
./cluster   ^BenchmarkReply$
./storage   ^Benchmark(Entry|StoreLogs)$
./peer      ^BenchmarkCallsOverLoopback$
./ratelimit ^Benchmark(Admit|Note|AdmitAndNote)$
'

commit=${1:-}
if [ -z "$commit" ]; then
  commit=HEAD
  if git diff --quiet HEAD -- '*.go'; then commit=HEAD~1; fi
fi
commit=$(git rev-parse --verify --short "$commit^{commit}") || exit 1

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/before" || exit 1
git archive "$commit" | tar -x -C "$dir/before" || exit 1

# build makes the test binaries of a tree. A package that an older tree lacks is left out.
build() { # $1: before or after, $2: the tree
  local package
  while read -r package _; do
    [ -z "$package" ] || (cd "$2" && go test -c -o "$dir/$1-$(basename "$package")" "$package") ||
      echo "$1: $package does not build and is left out" >&2
  done <<<"$benchmarks"
}

# run measures every benchmark of a tree once.
run() { # $1: before or after, $2: the tree
  local package which
  while read -r package which; do
    [ -x "$dir/$1-$(basename "$package")" ] || continue
    (cd "$2/$package" && "$dir/$1-$(basename "$package")" -test.run '^$' -test.bench "$which" -test.benchmem -test.benchtime 50ms) >>"$dir/$1.txt" ||
      echo "$1: a benchmark of $package failed" >&2
  done <<<"$benchmarks"
}

echo "before: $commit; after: the working tree; load average $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null)"
build before "$dir/before"
build after .
for _ in $(seq $turns); do
  run before "$dir/before"
  run after .
done
echo "load average at the end $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null)"
(cd "$dir" && go run "$benchstat" before=before.txt after=after.txt)
