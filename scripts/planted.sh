#!/usr/bin/env bash
# Lets nodes make known mistakes on purpose and sees that jepsen-lite notices.
#
#   scripts/planted.sh             all of them, and a run without any, which must be valid
#   scripts/planted.sh NAME...     some; "none" is the run without
#
# Prints a line for each: which checkers noticed, and after how many seconds. A
# mistake that needs luck is played again with other seeds, for 5 minutes at
# most. Ends with 1 if one was not noticed. Without root some faults cannot be
# made; what needs them is not played, and the table says so.
set -euo pipefail
cd "$(dirname "$0")/.."

# name, faults, workloads, seconds of one run, other flags
plan() {
  cat <<'PLAN'
none                   kill-leader,partition-leader        all                       20  --interval 3s
follower-read          partition-one-way,pause-one         register,counter          10
deposed-read           pause-leader                        register,counter          20  --clients 30
torn-read              none                                several,batch             10  --clients 2
early-ack              partition-leader                    register,counter          15
ok-for-nothing         none                                counter,ticket            10
fail-for-unknown       kill-leader,partition-leader        register,counter          25  --rate 400
wrong-revision         none                                register,counter          10
double-apply           none                                counter,several           10
key-ignored            none                                retry                     10
table-in-log-order     none                                retry                     30  --rate 600
overflow-wraps         none                                edges                     10
overflow-clamps        none                                edges                     10
decrease-negates       none                                edges                     10
half-batch             none                                batch                     10
condition-ignored      none                                register                  10
delete-leaves-key      none                                several                   10
node-differs           none                                counter,ticket            10
snapshot-without-table kill-all,kill-leader,snapshot-install retry,counter          20
snapshot-without-group kill-one,snapshot-install           register,counter          20
late-log               kill-all                            register,counter          20
unsynced-log           power-cut-all                       register,counter          20
term-forgotten         kill-all,pause-one                  register,counter          30
wiped-accepted         member-lost-disk                    register,counter          10
event-dropped          none                                watch                     10
event-twice            none                                watch                     10
event-swapped          none                                watch                     10
no-reset               kill-one,snapshot-install           watch                     25
limit-forgotten        hand-over                           limit,counter             20  --interval 300ms
PLAN
}

longest=300 # seconds that one mistake may go unnoticed
work=$(mktemp -d "${TMPDIR:-/tmp}/tally-planted.XXXXXX")
keep=
running=

# finish lets a run that is under way heal what it has broken.
finish() {
  trap - EXIT INT TERM HUP
  if [[ -n $running ]]; then
    kill -TERM "$running" 2>/dev/null || true
    wait "$running" || true
  fi
  [[ -n $keep ]] || rm -rf "$work"
  exit "$1"
}
trap 'finish 130' INT TERM HUP
trap 'finish $?' EXIT

go build -buildvcs=auto -tags jepsen,planted -o "$work/tallyd" ./cmd/node
go build -buildvcs=auto -o "$work/jepsen-lite" ./jepsen-lite

# play NAME SEED SECONDS FAULTS WORKLOADS FLAGS... makes one run; what jepsen-lite
# prints goes to NAME.SEED.log. Its code is 0 for valid, 1 for invalid, 2 for unknown.
play() {
  local planted=$1 name=$1 seed=$2 seconds=$3 faults=$4 workloads=$5
  shift 5
  [[ $name != none ]] || name=
  PLANTED_BUG=$name "$work/jepsen-lite" --binary "$work/tallyd" --out "$work/runs" --seed "$seed" \
    --time "${seconds}s" --nemesis "$faults" --workload "$workloads" "$@" >"$work/$planted.$seed.log" 2>&1 &
  running=$!
  local code=0
  wait "$running" || code=$?
  running=
  return "$code"
}

# hunt plays a mistake until it is noticed and prints its line.
hunt() {
  local name=$1 faults=$2 workloads=$3 seconds=$4 begin=$SECONDS seed=0 code by
  shift 4
  while :; do
    seed=$((seed + 1)) code=0
    play "$name" "$seed" "$seconds" "$faults" "$workloads" "$@" || code=$?
    by=$(awk '/^verdict:/ { exit } $2 == "invalid" || $3 == "invalid" { print ($2 == "invalid" ? $1 : $1 " " $2) }' "$work/$name.$seed.log" | paste -sd, | sed 's/,/, /g')
    if [[ $name == none ]]; then
      printf '| %-22s | %-50s | %7s |\n' "$name" "verdict: $(sed -n 's/^verdict: //p' "$work/$name.$seed.log")" "$((SECONDS - begin)) s"
      return "$code"
    fi
    if ((code == 1)) && [[ -n $by ]]; then
      printf '| %-22s | %-50s | %7s |\n' "$name" "$by" "$((SECONDS - begin)) s"
      return 0
    fi
    if grep -q '^skipped: ' "$work/$name.$seed.log"; then
      printf '| %-22s | %-50s | %7s |\n' "$name" "not played: its fault cannot be made here" ""
      return 0
    fi
    ((SECONDS - begin + seconds < longest)) || break
  done
  printf '| %-22s | %-50s | %7s |\n' "$name" "NOT NOTICED in $seed runs" "$((SECONDS - begin)) s"
  return 1
}

printf '| %-22s | %-50s | %7s |\n|---|---|---|\n' "planted" "noticed by" "after"
missed=()
while read -r name faults workloads seconds flags; do
  if (($# > 0)) && [[ " $* " != *" $name "* ]]; then
    continue
  fi
  # shellcheck disable=SC2086 # flags are words
  hunt "$name" "$faults" "$workloads" "$seconds" $flags </dev/null || missed+=("$name")
done < <(plan)

if ((${#missed[@]} > 0)); then
  keep=yes
  echo "not as it must be: ${missed[*]}; the runs are in $work" >&2
  exit 1
fi
