#!/usr/bin/env bash
# Real faults on real clusters, for about ten minutes: every kind of fault at
# least once on three nodes, then on five nodes what means more there, then with
# the other log store. It needs Go and Linux; as root it installs what it uses of
# iproute2, nftables, e2fsprogs and mount, and can make every fault.

usage() {
  cat <<'TEXT'
usage: scripts/jepsen-lite.sh [--seed N] [--out FOLDER] [--time DURATION]

  --seed N         decides the faults and what clients send (default 1)
  --out FOLDER     where each run makes a folder of its own (default jepsen-runs)
  --time DURATION  one run of three nodes instead of the suite, such as 3m; from
                   3m on it has every kind of fault at least once

Exit codes: 0 all runs are valid, 1 one is invalid, 2 nobody knows.
TEXT
}

set -u
cd "$(dirname "$0")/.." || exit 2

seed=1 out=jepsen-runs time=""
while [ $# -gt 0 ]; do
  case $1 in
    --seed | --out | --time)
      [ $# -ge 2 ] || { echo "$1 needs a value" >&2; exit 2; }
      case $1 in --seed) seed=$2 ;; --out) out=$2 ;; --time) time=$2 ;; esac
      shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "unknown argument: $1" >&2; usage >&2; exit 2 ;;
  esac
done

# Only what is missing is installed; what still is missing then, the run names.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  packages=""
  for need in ip:iproute2 nft:nftables mkfs.ext4:e2fsprogs mount:mount losetup:mount; do
    command -v "${need%%:*}" >/dev/null || packages="$packages ${need#*:}"
  done
  if [ -n "$packages" ]; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of packages
    { apt-get install -y -qq $packages || { apt-get update -qq && apt-get install -y -qq $packages; }; } >/dev/null 2>&1
  fi
fi

programs=$(mktemp -d) || exit 2
trap 'rm -rf "$programs"' EXIT
# The report names the commit, also where GOFLAGS would leave it out.
go build -buildvcs=auto -o "$programs/jepsen-lite" ./jepsen-lite || exit 2
go build -buildvcs=auto -tags jepsen -o "$programs/tallyd" ./cmd/node || exit 2

# The runs get signals themselves, heal, and end; the script ends after them.
trap 'interrupted=1' INT TERM HUP
interrupted="" worst=0
run() {
  [ -z "$interrupted" ] || { worst=2; return; }
  echo "=== jepsen-lite $*"
  "$programs/jepsen-lite" --binary "$programs/tallyd" --out "$out" --seed "$seed" "$@" &
  local pid=$! code
  # wait ends with a signal that the script was sent; the run is told of it too.
  while :; do
    wait "$pid"
    code=$?
    kill -0 "$pid" 2>/dev/null || break
    kill -TERM "$pid"
  done
  [ $code -ne 1 ] || worst=1
  [ $code -eq 0 ] || [ $worst -ne 0 ] || worst=2
}

every=--every-kind
if [ -n "$time" ]; then
  case $time in [0-9]s | [0-9][0-9]s | 1[0-7][0-9]s | 1m | 2m) every="" ;; esac
  run --time "$time" ${every:+"$every"}
else
  run --time 6m --full-rate 30s "$every"
  run --time 90s --nodes 5 --together 0.4 "$every" --nemesis partition-majorities-ring,partition-bridge,partition-halves,partition-leader,kill-minority,kill-majority,pause-minority,pause-majority,power-cut-one,power-cut-all,loss,member-replace
  # Its segments of 64 MiB want larger disks, and are never compacted in so short a time.
  run --time 80s --node-flags "--log-store wal" --disk-mib 512 "$every" --nemesis power-cut-one,power-cut-leader,power-cut-all,disk-error,disk-hang,disk-full,kill-all,kill-one,rolling-restart
fi
case $worst in
  0) echo "all runs are valid; their folders are in $out" ;;
  *) echo "not all runs are valid; their folders are in $out" ;;
esac
exit "$worst"
