#!/usr/bin/env bash
# Tests scripts/cluster.sh the way a newcomer uses it: start, count, kill the
# leader, go on counting, start it again, see all agree, stop. It uses ports and
# a directory of its own and leaves nothing behind.

set -u

scripts=$(cd "$(dirname "$0")" && pwd -P) || exit 1
cluster=$scripts/cluster.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/tally cluster test.XXXXXX") || exit 1 # a path with spaces must do
export TALLY_CLUSTER_DIR=$work/cluster
export TALLY_HTTP_PORT=18101 TALLY_PEER_PORT=19101

main() {
  trap 'finish 1' INT TERM HUP
  trap 'finish $?' EXIT

  step "up says what is wrong with its arguments"
  refuses "no cluster in" "$cluster" status
  refuses "want a number" "$cluster" up --nodes many
  refuses "too close together" env TALLY_PEER_PORT=18102 "$cluster" up
  refuses "unknown command" "$cluster" upp
  quietly "$cluster" down
  quietly "$cluster" clean

  step "up starts three nodes and prints what to paste"
  "$cluster" up >"$work/out" 2>&1 || fail "up failed"
  printed "increase" "scripts/cluster.sh kill" n1 n2 n3
  for port in 18101 18102 18103; do
    request GET "$port" /readyz
    expect_status 200
  done
  pids=$(cat "$TALLY_CLUSTER_DIR"/n?/pid)

  step "up again changes nothing"
  quietly "$cluster" up
  [ "$pids" = "$(cat "$TALLY_CLUSTER_DIR"/n?/pid)" ] || fail "the processes changed"
  refuses "has 3 nodes" "$cluster" up --nodes 5
  refuses "uses the ports from 18101" env TALLY_HTTP_PORT=18201 "$cluster" status

  step "a second cluster on the same ports is told so and leaves nothing"
  refuses "port 18101 is taken" env TALLY_CLUSTER_DIR="$work/second" "$cluster" up
  [ ! -e "$work/second/plan" ] || fail "a plan was left"

  step "every node counts"
  for port in 18101 18102 18103; do count "$port"; done
  reads 18103

  step "without the leader the others count"
  leader=$(leader_id) || fail "no leader"
  quietly "$cluster" kill
  refuses "is down already" "$cluster" kill "$leader"
  survivors=""
  for id in n1 n2 n3; do [ "$id" = "$leader" ] || survivors="$survivors 1810${id#n}"; done
  for port in $survivors; do count_until_done "$port"; done
  "$cluster" status >"$work/out" 2>&1 || fail "status failed"
  printed "$leader is down"

  step "the killed node starts again and all agree"
  quietly "$cluster" start "$leader"
  quietly "$cluster" start "$leader"
  await "all three agree" agree

  step "a paused leader is replaced and catches up"
  leader=$(leader_id) || fail "no leader"
  quietly "$cluster" pause
  refuses "is paused: scripts/cluster.sh resume" "$cluster" start "$leader"
  refuses "only a running node" "$cluster" pause "$leader"
  for id in n1 n2 n3; do [ "$id" = "$leader" ] || count_until_done "1810${id#n}"; done
  quietly "$cluster" resume "$leader"
  refuses "not paused" "$cluster" resume "$leader"
  await "all three agree" agree

  step "a pid file with somebody else's process is not trusted"
  quietly "$cluster" kill n3
  echo $$ >"$TALLY_CLUSTER_DIR/n3/pid"
  refuses "is down already" "$cluster" kill n3
  quietly "$cluster" up
  reads 18103

  step "down stops all nodes cleanly, up finds everything again"
  quietly "$cluster" down
  ! grep -l "did not stop\|ends itself" "$TALLY_CLUSTER_DIR"/n?/log || fail "a node did not stop cleanly"
  nobody_listens
  quietly "$cluster" up
  reads 18102

  step "a node that cannot start takes with it only what this up has started"
  quietly "$cluster" down
  mv "$TALLY_CLUSTER_DIR/n3/data" "$work/data" || fail "cannot move the data away"
  echo "in the way" >"$TALLY_CLUSTER_DIR/n3/data"
  refuses "n3 ended" "$cluster" up
  nobody_listens
  rm "$TALLY_CLUSTER_DIR/n3/data"
  mv "$work/data" "$TALLY_CLUSTER_DIR/n3/data" || fail "cannot move the data back"

  step "clean leaves nothing"
  quietly "$cluster" up
  quietly "$cluster" clean
  nobody_listens
  [ ! -e "$TALLY_CLUSTER_DIR" ] || fail "the directory is still there"
}

# --- helpers -----------------------------------------------------------------

acknowledged=0 # increments that were answered with 200
unknown=0      # increments that were answered with 504: they may have happened

step() { echo "  $*"; }

fail() {
  echo "FAIL: $*" >&2
  [ ! -s "$work/out" ] || { echo "the last output was:" >&2; cat "$work/out" >&2; }
  for log in "$TALLY_CLUSTER_DIR"/n?/log; do
    [ -f "$log" ] && { echo "the end of $log:" >&2; tail -n 15 "$log" >&2; }
  done
  exit 1
}

finish() { # $1: exit code
  trap - EXIT INT TERM HUP
  "$cluster" clean >/dev/null 2>&1
  rm -rf "$work"
  exit "$1"
}

quietly() { "$@" >"$work/out" 2>&1 || fail "$* failed"; }

# refuses runs a command that must fail and say $1.
refuses() {
  local want=$1
  shift
  "$@" >"$work/out" 2>&1 && fail "$* should have failed"
  printed "$want"
}

printed() {
  local want
  for want in "$@"; do
    grep -q -- "$want" "$work/out" || fail "the output lacks: $want"
  done
}

# request sends one HTTP request with nothing but bash; sets status and body.
request() { # $1: method, $2: port, $3: path
  local line
  status=000 body=""
  exec 3<>"/dev/tcp/127.0.0.1/$2" || return 1
  printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" "$3" "$2" >&3
  while IFS= read -r -t 10 line <&3; do
    line=${line%$'\r'}
    case $line in
      "HTTP/1.1 "*) status=${line#HTTP/1.1 } status=${status%% *} ;;
      "{"*) body=$line ;;
    esac
  done
  exec 3>&-
}

expect_status() { [ "$status" = "$1" ] || fail "status $status instead of $1: $body"; }

count() { # $1: port
  request POST "$1" /v1/groups/room/counters/likes/increase
  expect_status 200
  acknowledged=$((acknowledged + 1))
}

# count_until_done tries until one increment is acknowledged.
count_until_done() { # $1: port
  local attempt
  for ((attempt = 0; attempt < 100; attempt++)); do
    request POST "$1" /v1/groups/room/counters/likes/increase
    case $status in
      200) acknowledged=$((acknowledged + 1)); return ;;
      503) sleep 0.1 ;;
      504) unknown=$((unknown + 1)) ;;
      *) expect_status 200 ;;
    esac
  done
  fail "port $1 does not count: $body"
}

# reads holds the counter against what was acknowledged.
reads() { # $1: port
  local value
  request GET "$1" /v1/groups/room/counters/likes
  expect_status 200
  value=${body#*\"value\":}
  value=${value%%[!0-9]*}
  if [ "$value" -lt "$acknowledged" ] || [ "$value" -gt $((acknowledged + unknown)) ]; then
    fail "port $1 reads $body; $acknowledged increments were acknowledged, $unknown are unknown"
  fi
}

leader_id() { "$cluster" status | awk '$2 == "leader" { print $1 }' | grep .; }

# agree tells whether three members show one state hash at one index.
agree() {
  "$cluster" status >"$work/out" 2>&1 || return 1
  awk 'NR > 1 && $5 ~ /^[0-9a-f]+$/ { seen++; distinct[$5 " " $7] = 1 }
       END { for (d in distinct) kinds++; exit !(seen == 3 && kinds == 1) }' "$work/out"
}

await() { # $1: for people, then a command
  local what=$1 deadline=$((SECONDS + 30))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || fail "waited in vain until $what"
    sleep 0.1
  done
}

nobody_listens() {
  local port
  for port in 18101 18102 18103 19101 19102 19103; do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || fail "somebody still listens on port $port"
  done
}

main
