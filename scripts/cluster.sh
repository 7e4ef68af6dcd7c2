#!/usr/bin/env bash
# Runs a cluster of Tally nodes on this machine. It needs bash (3.2 will do) and Go.

usage() {
  cat <<'TEXT'
usage: scripts/cluster.sh COMMAND

  up [--nodes N]    build tallyd, start N nodes (default 3), wait until all are
                    ready; again: start what is down, resume what is paused,
                    change nothing else
  status            show the nodes
  kill [ID|leader]  end a node with SIGKILL (default: the leader)
  pause [ID|leader] stop a node with SIGSTOP (default: the leader)
  resume ID         let a paused node go on
  start ID          start a node that is down
  down              stop all nodes cleanly
  clean             down, then delete data and logs

Nodes are n1, n2, ...; clients use 127.0.0.1:8101 and up, the nodes among
themselves 127.0.0.1:9101 and up. Data and logs are in .cluster/ID/.

  TALLY_CLUSTER_DIR  another directory than .cluster
  TALLY_HTTP_PORT    another first port for clients
  TALLY_PEER_PORT    another first port between nodes

Other TALLY_... variables reach the nodes that are started: TALLY_LOG_LEVEL=debug,
for example, or to ask callers for tokens (docs/operations.md)
TALLY_IDENTITY=jwt TALLY_JWT_SECRET_FILE=~/.tally-secret. Then status, kill and
pause need the token of an admin in TALLY_TOKEN, or TALLY_TOKEN_FILE.
TEXT
}

set -u

root=$(cd "$(dirname "$0")/.." && pwd -P) || exit 1
dir=${TALLY_CLUSTER_DIR:-$root/.cluster}

start_seconds=30 # how long nodes may take to become ready
stop_seconds=15  # how long a clean stop may take; more than --shutdown-timeout

main() {
  local command=${1:-}
  [ $# -gt 0 ] && shift
  [ "$command" != up ] || mkdir -p "$dir" || exit 1
  # One spelling of the directory, since processes are recognised by it.
  [ -d "$dir" ] && dir=$(cd "$dir" && pwd -P)
  tallyd=$dir/tallyd
  plan=$dir/plan # what was chosen at the first up: nodes, first HTTP port, first peer port

  case $command in
    up) up "$@" ;;
    status | down | clean) [ $# -eq 0 ] || die "$command takes no arguments"; "$command" ;;
    kill | pause) [ $# -le 1 ] || die "$command takes one node at most"; require_plan; "${command}_node" "${1:-leader}" ;;
    resume | start) [ $# -eq 1 ] || die "$command needs a node ID"; require_plan; "${command}_node" "$1" ;;
    -h | --help | help) usage ;;
    "") usage >&2; exit 2 ;;
    *) echo "unknown command: $command" >&2; usage >&2; exit 2 ;;
  esac
}

# --- commands ----------------------------------------------------------------

up() {
  local wanted="" id
  while [ $# -gt 0 ]; do
    case $1 in
      --nodes) wanted=${2:-}; shift 2 || die "--nodes needs a number" ;;
      --nodes=*) wanted=${1#--nodes=}; shift ;;
      *) die "up does not know $1" ;;
    esac
  done
  make_plan "$wanted"
  for id in $ids; do
    [ "$(state_of "$id")" = down ] && require_free_ports "$id"
  done
  build

  started="" # what this call has to end again if it fails
  trap 'abandon "interrupted"' INT TERM HUP
  for id in $ids; do
    case $(state_of "$id") in
      down) started="$started $id"; launch "$id" || abandon "$id could not be started" ;;
      paused) signal_node CONT "$id" ;;
    esac
  done
  # shellcheck disable=SC2086 # IDs are words
  await_ready $ids || abandon "$failure"
  trap - INT TERM HUP
  status || return 0 # they are up; who may look is another question
  lines_to_paste
}

status() {
  require_plan
  local id urls="" asleep=""
  for id in $ids; do
    case $(state_of "$id") in
      running) urls="$urls --url $(url_of "$id")" ;;
      paused) asleep="$asleep$id is paused: scripts/cluster.sh resume $id"$'\n' ;;
      down) asleep="$asleep$id is down: scripts/cluster.sh start $id"$'\n' ;;
    esac
  done
  [ -n "$urls" ] || die "no node runs; start them: scripts/cluster.sh up"
  # shellcheck disable=SC2086 # a list of flags
  ask_nodes status $urls || return 1
  printf '%s' "$asleep"
}

kill_node() {
  local id
  id=$(resolve "$1") || exit 1
  [ "$(state_of "$id")" != down ] || die "$id is down already"
  signal_node KILL "$id"
  await_down 5 "$id" || die "$id did not end"
  echo "$id was killed. Start it again: scripts/cluster.sh start $id"
}

pause_node() {
  local id
  id=$(resolve "$1") || exit 1
  [ "$(state_of "$id")" = running ] || die "$id is $(state_of "$id"); only a running node can be paused"
  signal_node STOP "$id"
  echo "$id is paused. Let it go on: scripts/cluster.sh resume $id"
}

resume_node() {
  local id
  id=$(resolve "$1") || exit 1
  [ "$(state_of "$id")" = paused ] || die "$id is $(state_of "$id"), not paused"
  signal_node CONT "$id"
  echo "$id goes on."
}

start_node() {
  local id
  id=$(resolve "$1") || exit 1
  case $(state_of "$id") in
    running) echo "$id runs already."; return ;;
    paused) die "$id is paused: scripts/cluster.sh resume $id" ;;
  esac
  require_free_ports "$id"
  started=$id
  trap 'abandon "interrupted"' INT TERM HUP
  launch "$id" || abandon "$id could not be started"
  await_ready "$id" || abandon "$failure"
  echo "$id is ready: $(url_of "$id")"
}

down() {
  [ -f "$plan" ] || return 0
  read_plan
  # shellcheck disable=SC2086 # IDs are words
  stop_nodes $ids
}

clean() {
  [ -f "$plan" ] || return 0
  down || exit 1
  local id
  for id in $ids; do
    rm -rf "${dir:?}/$id"
  done
  rm -f "$tallyd" "$plan"
  # Whatever else somebody put there is theirs.
  rmdir "$dir" 2>/dev/null || echo "left as it is, since it holds other files: $dir"
}

# --- the plan: which nodes there are and where -------------------------------

make_plan() { # $1: how many nodes, or nothing
  case $1 in
    "") ;;
    *[!0-9]* | 0*) die "--nodes $1: want a number from 1 to 9" ;;
    ?) ;;
    *) die "--nodes $1: want a number from 1 to 9" ;;
  esac
  if [ -f "$plan" ]; then
    read_plan
    if [ -n "$1" ] && [ "$1" != "$nodes" ]; then
      die "this cluster has $nodes nodes. For another number begin anew, without its data: scripts/cluster.sh clean"
    fi
    return
  fi
  nodes=${1:-3} http_port=${TALLY_HTTP_PORT:-8101} peer_port=${TALLY_PEER_PORT:-9101}
  check_port TALLY_HTTP_PORT "$http_port"
  check_port TALLY_PEER_PORT "$peer_port"
  if [ "$http_port" -lt $((peer_port + nodes)) ] && [ "$peer_port" -lt $((http_port + nodes)) ]; then
    die "TALLY_HTTP_PORT $http_port and TALLY_PEER_PORT $peer_port are too close together for $nodes nodes"
  fi
  echo "$nodes $http_port $peer_port" >"$plan" || die "cannot write $plan"
  read_plan
}

check_port() { # $1: variable, $2: its value
  case $2 in
    "" | *[!0-9]* | ??????*) ;;
    *) [ "$2" -ge 1 ] && [ "$2" -le 65000 ] && return ;;
  esac
  die "$1=$2: want a port from 1 to 65000"
}

require_plan() {
  [ -f "$plan" ] || die "there is no cluster in $dir; start one: scripts/cluster.sh up"
  read_plan
}

read_plan() {
  read -r nodes http_port peer_port <"$plan" || die "$plan cannot be read; remove $dir to begin anew"
  if [ "${TALLY_HTTP_PORT:-$http_port}" != "$http_port" ] || [ "${TALLY_PEER_PORT:-$peer_port}" != "$peer_port" ]; then
    die "this cluster uses the ports from $http_port and $peer_port on. Unset TALLY_HTTP_PORT and TALLY_PEER_PORT; or name another TALLY_CLUSTER_DIR; or begin anew, without its data: unset them and scripts/cluster.sh clean"
  fi
  local i
  ids="" initial_cluster=""
  for ((i = 1; i <= nodes; i++)); do
    ids="$ids n$i"
    initial_cluster="$initial_cluster,n$i=127.0.0.1:$((peer_port + i - 1))"
  done
  ids=${ids# } initial_cluster=${initial_cluster#,}
}

http_port_of() { echo $((http_port + ${1#n} - 1)); }
peer_port_of() { echo $((peer_port + ${1#n} - 1)); }
url_of() { echo "http://127.0.0.1:$(http_port_of "$1")"; }

# resolve prints the node ID meant by $1, an ID or "leader".
resolve() {
  local id urls=""
  for id in $ids; do
    [ "$id" = "$1" ] && echo "$id" && return
    [ "$(state_of "$id")" = running ] && urls="$urls --url $(url_of "$id")"
  done
  [ "$1" = leader ] || die "there is no node $1; the nodes are $ids"
  [ -n "$urls" ] || die "no node runs; start them: scripts/cluster.sh up"
  # shellcheck disable=SC2086 # a list of flags
  ask_nodes status --leader $urls || die "no leader is known; name a node ID"
}

# --- processes ---------------------------------------------------------------

build() {
  command -v go >/dev/null || die "Go is needed to build tallyd: https://go.dev/dl"
  # Beside it and then renamed: running nodes keep the binary they have.
  (cd "$root" && go build -o "$tallyd.new" ./cmd/node) || die "tallyd does not build"
  mv -f "$tallyd.new" "$tallyd"
}

# launch starts a node in the background and returns when the node can be
# recognised by its pid file, or has ended already.
launch() { # $1: node ID
  local id=$1 data=$dir/$1/data log=$dir/$1/log
  mkdir -p "$dir/$id" && echo "--- start $(date)" >>"$log" || return 1
  (
    own_variables_only
    export TALLY_LOG_FORMAT="${TALLY_LOG_FORMAT:-text}" # the log is for people here
    trap '' HUP INT # the node stays when this terminal goes away
    # The inner shell writes its own process ID and then becomes the node, so
    # that there is never a node without a pid file.
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec sh -c 'echo $$ >"$0" && exec "$@"' "$dir/$id/pid" \
      "$tallyd" --data-dir "$data" --node-id "$id" \
      --http-addr "127.0.0.1:$(http_port_of "$id")" --peer-addr "127.0.0.1:$(peer_port_of "$id")" \
      --initial-cluster "$initial_cluster" \
      --cors-origin 'http://localhost:*' --cors-origin 'http://127.0.0.1:*' \
      </dev/null >>"$log" 2>&1
  ) &
  local pid=$!
  disown "$pid" # its end is not this shell's to report
  while kill -0 "$pid" 2>/dev/null && ! pid_of "$id" >/dev/null; do sleep 0.02; done
}

ask_nodes() { (own_variables_only && exec "$tallyd" "$@"); }

# own_variables_only hides this script's variables from tallyd.
own_variables_only() { unset TALLY_CLUSTER_DIR TALLY_HTTP_PORT TALLY_PEER_PORT TALLY_TEST_STRICT; }

# pid_of prints the process ID of a node that runs or is paused. A process that
# merely has the number of a node long gone is not it: nothing but processes
# started here for this data directory is ever sent a signal.
pid_of() { # $1: node ID
  local pid line
  { read -r pid <"$dir/$1/pid"; } 2>/dev/null || return 1
  case $pid in "" | *[!0-9]*) return 1 ;; esac
  if [ -r "/proc/$pid/cmdline" ]; then
    line=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)
  else
    line=$(ps -ww -o command= -p "$pid" 2>/dev/null)
  fi
  case $line in
    "$tallyd --data-dir $dir/$1/data "*) echo "$pid" ;;
    *) return 1 ;;
  esac
}

# state_of prints running, paused or down.
state_of() { # $1: node ID
  local pid word letter="" rest
  pid=$(pid_of "$1") || { echo down; return; }
  if [ -r "/proc/$pid/status" ]; then
    while read -r word letter rest; do [ "$word" = State: ] && break; done <"/proc/$pid/status"
  else
    letter=$(ps -o state= -p "$pid" 2>/dev/null)
  fi
  case $letter in T* | t*) echo paused ;; *) echo running ;; esac
}

signal_node() { # $1: signal, $2: node ID
  local pid
  pid=$(pid_of "$2") && kill "-$1" "$pid"
}

# stop_nodes stops the nodes cleanly, all at once, and kills what does not stop.
stop_nodes() { # node IDs
  local id
  for id in "$@"; do
    signal_node TERM "$id"
    signal_node CONT "$id" # a paused node hears the signal only when it goes on
  done
  await_down "$stop_seconds" "$@" && return
  for id in "$@"; do
    signal_node KILL "$id" && echo "$id did not stop within $stop_seconds s and was killed; see $dir/$id/log" >&2
  done
  await_down 5 "$@"
}

await_down() { # $1: seconds, then node IDs
  local id all deadline=$((SECONDS + $1))
  shift
  while :; do
    all=yes
    for id in "$@"; do pid_of "$id" >/dev/null && all=no; done
    [ $all = yes ] && return
    [ $SECONDS -ge $deadline ] && return 1
    sleep 0.05
  done
}

# await_ready waits until the nodes are ready. If they do not become so, it sets
# failure to why and culprit to the node to look at.
await_ready() { # node IDs
  local id deadline=$((SECONDS + start_seconds))
  for id in "$@"; do
    culprit=$id
    until ask_nodes ready --url "$(url_of "$id")" --wait 500ms >/dev/null 2>&1; do
      # Another one may have ended meanwhile, which is why this one waits.
      for culprit in "$@"; do
        [ "$(state_of "$culprit")" = down ] && failure="$culprit ended" && return 1
      done
      culprit=$id
      if [ $SECONDS -ge $deadline ]; then
        failure="$id is not ready after $start_seconds s: $(ask_nodes ready --url "$(url_of "$id")" 2>&1)"
        return 1
      fi
    done
  done
}

# abandon ends what this call has started, shows why, and exits.
abandon() { # $1: why
  trap '' INT TERM HUP
  echo "$1" >&2
  if [ -n "${culprit:-}" ] && [ -f "$dir/$culprit/log" ]; then
    echo "the last lines of $dir/$culprit/log:" >&2
    tail -n 10 "$dir/$culprit/log" >&2
  fi
  # shellcheck disable=SC2086 # IDs are words
  stop_nodes $started
  exit 1
}

# --- ports -------------------------------------------------------------------

require_free_ports() { # $1: node ID
  require_free_port "$(http_port_of "$1")" TALLY_HTTP_PORT "$1 needs it for clients"
  require_free_port "$(peer_port_of "$1")" TALLY_PEER_PORT "$1 needs it for the other nodes"
}

require_free_port() { # $1: port, $2: variable that moves it, $3: who needs it
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
  echo "port $1 is taken$(owner_of_port "$1"); $3." >&2
  if [ -d "$dir/n1/data" ]; then
    die "End that program and try again."
  fi
  rm -f "$plan"
  rmdir "$dir" 2>/dev/null
  die "End that program, or choose other ports: $2=<first port> scripts/cluster.sh up"
}

# owner_of_port names the process, where a tool for that is installed.
owner_of_port() { # $1: port
  local line=""
  if command -v lsof >/dev/null; then
    line=$(lsof -nP -iTCP:"$1" -sTCP:LISTEN 2>/dev/null | awk 'NR == 2 { print $1 ", process " $2 }')
  elif command -v ss >/dev/null; then
    line=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1, process \2/p')
  fi
  [ -z "$line" ] || echo " by $line"
}

# --- for people --------------------------------------------------------------

lines_to_paste() {
  local id leader first other bearer=""
  # shellcheck disable=SC2016 # for the shell that it is pasted into
  [ "${TALLY_IDENTITY:-none}" != jwt ] || bearer='-H "Authorization: Bearer $TALLY_TOKEN" '
  leader=$(resolve leader) || return 0
  first=$(url_of n1) other=$first
  for id in $ids; do [ "$id" != "$leader" ] && other=$(url_of "$id"); done
  cat <<TEXT

Count:                curl -X POST $bearer$first/v1/groups/room/counters/likes/increase
Read on another node: curl $bearer$other/v1/groups/room/counters
In a second terminal: curl -N -H 'Accept: text/event-stream' $bearer$other/v1/groups/room/watch
TEXT
  [ "$nodes" -ge 3 ] || return 0
  cat <<TEXT
Kill the leader:      scripts/cluster.sh kill
Count again:          curl -X POST $bearer$other/v1/groups/room/counters/likes/increase
Start it again:       scripts/cluster.sh start $leader
See all agree:        scripts/cluster.sh status
TEXT
}

die() {
  echo "$*" >&2
  exit 1
}

main "$@"
