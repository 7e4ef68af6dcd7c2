#!/usr/bin/env bash
# Runs every check on a machine that has Go and bash. What needs more (a C
# compiler for the race detector, shellcheck) is installed where that can be done
# without asking; otherwise it is skipped and listed at the end.
#
#   TALLY_TEST_STRICT=1  a skip is a failure
#   TALLY_FUZZ_TIME=5s   how long each fuzz target runs
#   TALLY_FAULTS_RUNS=1    how often real faults are made on a real cluster for 30 s
#   TALLY_SIMULATION_TIME=30s  how long clusters are simulated
#
# Names of checks as arguments run only those: scripts/test.sh format lint

set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

linter=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
fuzz_time=${TALLY_FUZZ_TIME:-5s}
faults_runs=${TALLY_FAULTS_RUNS:-1}
simulation_time=${TALLY_SIMULATION_TIME:-30s}
# For the scripts that start nodes, whose environment must be a user's.
strict=${TALLY_TEST_STRICT:-}
unset TALLY_TEST_STRICT TALLY_FUZZ_TIME TALLY_FAULTS_RUNS TALLY_SIMULATION_TIME

checks="format modules vet vet_darwin lint shell documents unit fuzz cluster simulation faults sdk_js"

# --- the checks: 0 is passed, $skip is skipped for the reason in $reason -------

skip=200
reason=""

check_format() {
  local files
  files=$(gofmt -l .) || return 1
  [ -z "$files" ] || { echo "gofmt -w would change:"; echo "$files"; return 1; }
}

check_modules() {
  go mod verify || return 1
  go mod tidy -diff 2>&1 | head -n 40
  [ "${PIPESTATUS[0]}" -eq 0 ] || { echo "go mod tidy would change this"; return 1; }
}

check_vet() { go vet ./... && go vet -tags jepsen,planted ./cmd/node ./fsm ./storage ./internal/planted ./jepsen-lite/... && (cd bench/peers && go vet ./...); }

# The other system that people start a cluster on.
check_vet_darwin() { GOOS=darwin GOARCH=arm64 go vet ./...; }

check_lint() {
  go run "$linter" version >/dev/null || { reason="the linter cannot be fetched or built"; return "$skip"; }
  go run "$linter" run ./...
}

check_shell() {
  have shellcheck shellcheck || { reason="shellcheck is missing"; return "$skip"; }
  shellcheck scripts/*.sh .ci/run
}

# prose is a document without its code, in which ](x) is no link.
prose() { awk '/^```/ { code = !code; next } !code { gsub(/`[^`]*`/, ""); print }' "$1"; }

# Every relative link of a document leads to a file.
check_documents() {
  local file link broken=0
  while IFS= read -r file; do
    while IFS= read -r link; do
      case $link in *://* | mailto:* | '#'*) continue ;; esac
      [ -e "$(dirname "$file")/${link%%#*}" ] || { echo "$file links to $link, which does not exist"; broken=1; }
    done < <(prose "$file" | grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//')
  done < <(git ls-files '*.md')
  return $broken
}

check_unit() {
  # With it a test counts the syncs behind an acknowledgement.
  local traced=yes
  [ "$(uname)" != Linux ] || have strace strace || traced=""
  # A module of its own, for the sake of the peers' clients.
  (cd bench/peers && go test ./...) || return 1
  # The test build forgets keys so early that a test can wait for it.
  go test -tags jepsen -timeout 5m -run '^Test(ForgottenRequestsAreNotExecutedAgain|EvictionScheduleNoticesLogOrder)$' ./cluster || return 1
  go test -tags jepsen,planted ./jepsen-lite/planted || return 1
  if ! race_detector; then
    go test -timeout 20m ./... || return 1
    reason="no C compiler: the tests ran, but without the race detector"
    return "$skip"
  fi
  go test -race -timeout 20m ./... || return 1
  # Left out under the race detector for a harmless race of the Raft library.
  go test -timeout 5m -run '^TestMovedNodesAreFound$' ./cluster || return 1
  [ -n "$traced" ] || { reason="strace is missing: the tests ran, but nobody counted syncs"; return "$skip"; }
}

race_detector() { [ "$(go env CGO_ENABLED)" = 1 ] && { have gcc gcc libc6-dev || have clang; }; }

check_fuzz() {
  local file target failed=0 count=0
  while IFS=: read -r file target; do
    count=$((count + 1))
    fuzz "$target" "./$(dirname "$file")" || failed=1
  done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]*' | sed 's/:func /:/')
  [ $count -gt 0 ] || { echo "no fuzz target was found"; return 1; }
  return $failed
}

# fuzz runs one target. Before Go 1.27 the end of the time can itself be reported
# as a failure, without a failing input (golang/go#75804); only then is it run again.
fuzz() { # $1: target, $2: package
  local output attempt
  for attempt in 1 2 3; do
    output=$(go test -run '^$' -fuzz "^$1\$" -fuzztime "$fuzz_time" "$2" 2>&1 </dev/null)
    local result=$?
    echo "$output"
    [ $result -ne 0 ] || return 0
    case $output in *"Failing input"*) return 1 ;; *"    context deadline exceeded"*) ;; *) return 1 ;; esac
    echo "golang/go#75804 in attempt $attempt"
  done
  return 1
}

check_cluster() { scripts/cluster_test.sh; }

# Another seed each day; the run says it. Without root it makes fewer kinds of
# fault, and says which it leaves out.
check_simulation() { scripts/sim.sh --time "$simulation_time"; }

check_faults() {
  [ "$(uname)" = Linux ] || { reason="real faults need Linux"; return "$skip"; }
  local run seed
  seed=$(date +%Y%m%d)0
  for run in $(seq "$faults_runs"); do
    faults "$((seed + 10 * run))" || return 1
  done
}

# faults makes one run. If nobody knows of it whether the cluster did right,
# because a fault was not felt or a busy machine answered too little, that is no
# pass: another one is made, up to three.
faults() { # $1: seed
  local seed code=2
  for seed in "$1" "$(($1 + 1))" "$(($1 + 2))"; do
    scripts/jepsen-lite.sh --time 30s --seed "$seed"
    code=$?
    [ $code -eq 2 ] || break
  done
  return $code
}

check_sdk_js() {
  { have node nodejs && have npm npm; } || { reason="Node or npm is missing"; return "$skip"; }
  node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' || { reason="Node is older than 20"; return "$skip"; }
  (cd sdk/js && npm ci --no-audit --no-fund) || { reason="the packages for its tests cannot be fetched"; return "$skip"; }
  local left_out=""
  have chromium chromium || left_out="no Chromium: the tests ran, but not in a browser"
  [ -f "${TALLY_SAMPLES:-../shared/original/group-counters-web-sdk.md}" ] || left_out="the original's samples are not there (TALLY_SAMPLES): the other tests ran"
  (cd sdk/js && TALLY_TEST_STRICT=$strict npm test) || return 1
  [ -z "$left_out" ] || { reason=$left_out; return "$skip"; }
}

# have tells whether a command is there, after installing it if that takes no asking.
have() { # $1: command, then the Debian packages that bring it
  command -v "$1" >/dev/null && return
  local command=$1
  shift
  if [ $# -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get install -y -qq "$@" || { apt-get update -qq && apt-get install -y -qq "$@"; }; } >/dev/null 2>&1
  fi
  command -v "$command" >/dev/null
}

# --- running them --------------------------------------------------------------

command -v go >/dev/null || { echo "Go is needed: https://go.dev/dl"; exit 1; }

passed=0 failed=0 skipped=0 summary=""
# shellcheck disable=SC2086 # names are words
[ $# -gt 0 ] || set -- $checks
for name in "$@"; do
  case " $checks " in *" $name "*) ;; *) echo "there is no check $name; there are: $checks"; exit 2 ;; esac
done
for name in "$@"; do
  echo "=== $name"
  begin=$SECONDS
  "check_$name" 2>&1
  result=$?
  took=$((SECONDS - begin))
  if [ $result -eq 0 ]; then
    passed=$((passed + 1))
    summary="$summary  passed   $name (${took}s)"$'\n'
  elif [ $result -eq "$skip" ] && [ "$strict" != 1 ]; then
    skipped=$((skipped + 1))
    summary="$summary  skipped  $name: $reason"$'\n'
  else
    failed=$((failed + 1))
    [ $result -ne "$skip" ] || echo "skipped, which is a failure here: $reason"
    summary="$summary  FAILED   $name (${took}s)"$'\n'
  fi
done

echo "==="
printf '%s' "$summary"
if [ $skipped -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
