#!/usr/bin/env bash
# Simulates clusters in virtual time, one seed after the other, on one processor:
#
#   scripts/sim.sh [--time 3m] [--seed N] [--seeds N] [--out FOLDER]
#
# --time is wall time; --seed is the first seed, by default one that is different
# each time; --seeds runs so many instead of as many as the time allows. What is
# not valid is kept in a folder below --out, with the command that runs it again,
# and makes this fail. Idempotency keys are forgotten early, as in jepsen-lite's
# test build, so that forgetting is simulated too.

set -eu
cd "$(dirname "$0")/.."

time=3m seed=$(date +%s)000 seeds=0 out=${TMPDIR:-/tmp}/tally-sim
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || { echo "$1 needs a value"; exit 2; }
  case $1 in
    --time) time=$2 ;;
    --seed) seed=$2 ;;
    --seeds) seeds=$2 ;;
    --out) out=$2 ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift 2
done
mkdir -p "$out"
out=$(cd "$out" && pwd)

# Simulations are not parallel: time stands still while anything runs.
GOMAXPROCS=1 exec go test -tags jepsen ./internal/sim -v -count 1 -timeout 0 -run '^TestSimulation$' \
  -sim.time "$time" -sim.seed "$seed" -sim.seeds "$seeds" -sim.out "$out"
