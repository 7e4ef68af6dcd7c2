package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tally/storage"
)

// Between the moment a change is sent and the moment it is acknowledged, a
// majority of the nodes has begun and ended a sync of its log: the kernel's word
// for it, on real processes and files. Nothing else is under way meanwhile, so
// the syncs can be of no other change.
func TestAcknowledgedChangesAreOnTheDisksOfAMajority(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs three traced processes")
	}
	if out, err := exec.Command("strace", "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace is not here or may not trace: %v %s", err, out)
	}
	for _, store := range storage.LogStores() {
		t.Run(string(store), func(t *testing.T) { testDurability(t, store) })
	}
}

// syncsNeeded is how many syncs make a batch durable: bolt syncs its pages and
// then the page that points to them.
var syncsNeeded = map[storage.LogStore]int{storage.LogStoreBolt: 2, storage.LogStoreWAL: 1}

func testDurability(t *testing.T, store storage.LogStore) {
	const changes = 20
	nodes := startTraced(t, store)
	for _, n := range nodes {
		eventually(t, n.id+" to be ready", func() bool { return status(n.url+"/readyz") == http.StatusOK })
	}
	type window struct{ sent, acknowledged time.Time }
	var windows []window
	for i := range changes {
		target := nodes[i%len(nodes)].url // the leader's, and those that forward
		sent := time.Now()
		answer(t, http.MethodPost, target+"/v1/groups/g/counters/likes/increase")
		windows = append(windows, window{sent, time.Now()})
		for _, n := range nodes {
			eventually(t, n.id+" to have the change", func() bool {
				return strings.Contains(answer(t, http.MethodGet, n.url+"/v1/groups/g/counters?consistency=stale"), fmt.Sprintf(`"likes":%d}`, i+1))
			})
		}
	}
	syncs := make([][]syncCall, len(nodes))
	for i, n := range nodes {
		syncs[i] = n.stop(t)
	}
	for i, w := range windows {
		synced, counts := 0, make([]int, len(nodes))
		for j := range nodes {
			for _, call := range syncs[j] {
				if call.began.After(w.sent) && call.ended.Before(w.acknowledged) {
					counts[j]++
				}
			}
			if counts[j] >= syncsNeeded[store] {
				synced++
			}
		}
		if synced <= len(nodes)/2 {
			t.Errorf("change %d was acknowledged after %v syncs of the logs; want at least %d on a majority", i+1, counts, syncsNeeded[store])
		}
	}
}

// traced is a tallyd whose syncs strace writes down.
type traced struct {
	*exec.Cmd
	id, url, trace string
}

func startTraced(t *testing.T, store storage.LogStore) []*traced {
	t.Helper()
	nodes := make([]*traced, 3)
	var members []string
	peers := make([]string, len(nodes))
	for i := range nodes {
		nodes[i], peers[i] = &traced{id: fmt.Sprintf("n%d", i+1), url: freeAddr(t)}, freeAddr(t)
		members = append(members, nodes[i].id+"="+peers[i])
	}
	for i, n := range nodes {
		dir := t.TempDir()
		n.trace = filepath.Join(dir, "trace")
		// -D makes tallyd the child of this process, and strace the one beside it.
		n.Cmd = exec.Command("strace", "-D", "-f", "-qq", "-y", "-ttt", "-T", "-e", "trace=fsync,fdatasync", "-o", n.trace,
			os.Args[0], "--node-id", n.id, "--data-dir", filepath.Join(dir, "data"), "--http-addr", n.url, "--peer-addr", peers[i],
			"--initial-cluster", strings.Join(members, ","), "--log-store", string(store),
			// Tracing is slow, and so may be the machine: nothing here is about time.
			"--heartbeat-timeout", "3s", "--election-timeout", "3s", "--leader-lease-timeout", "2s", "--request-timeout", "30s", "--storage-timeout", "30s")
		n.url = "http://" + n.url
		n.Env = append(os.Environ(), asProcess+"=1")
		n.Stderr = new(strings.Builder)
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Process.Kill() }) // for a test that failed on the way
	}
	return nodes
}

// stop ends the node and returns how it has synced its log. Standard error ends
// with strace, which is then through with writing.
func (n *traced) stop(t *testing.T) []syncCall {
	t.Helper()
	if err := n.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", n.id, err, n.Stderr)
	}
	file, err := os.Open(n.trace)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return readTrace(t, file)
}

// syncCall is one call of fsync(2) or fdatasync(2) on a log that succeeded.
type syncCall struct{ began, ended time.Time }

// Lines of a trace: process, Unix time, and a call, whole or in two parts when
// another thread came in between.
//
//	1714 1795402203.123456 fdatasync(9</data/log.bolt>) = 0 <0.000214>
//	1714 1795402203.123456 fdatasync(9</data/log.bolt> <unfinished ...>
//	1714 1795402203.123670 <... fdatasync resumed>) = 0 <0.000214>
var traceLine = regexp.MustCompile(`^(\d+) +(\d+)\.(\d{6}) (?:f(?:data)?sync\(\d+<([^>]*)>|<\.\.\. f(?:data)?sync resumed>)(.*)$`)

var traceResult = regexp.MustCompile(`\) += 0 <(\d+\.\d+)>$`)

func readTrace(t *testing.T, trace io.Reader) (calls []syncCall) {
	t.Helper()
	type begun struct {
		at   time.Time
		path string
	}
	pending := make(map[string]begun) // by thread
	lines := bufio.NewScanner(trace)
	for lines.Scan() {
		part := traceLine.FindStringSubmatch(lines.Text())
		if part == nil {
			continue // signals and ends of threads
		}
		seconds, _ := strconv.ParseInt(part[2], 10, 64) // digits, says the expression
		micros, _ := strconv.ParseInt(part[3], 10, 64)
		thread, at := part[1], time.Unix(seconds, micros*1000)
		call, resumed := pending[thread]
		if !resumed {
			call = begun{at, part[4]}
		}
		delete(pending, thread)
		if strings.HasSuffix(part[5], "<unfinished ...>") {
			pending[thread] = call
		}
		result := traceResult.FindStringSubmatch(part[5])
		if result == nil {
			continue // not at its end, or failed
		}
		took, err := time.ParseDuration(result[1] + "s")
		if err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if strings.HasSuffix(call.path, "/log.bolt") || strings.Contains(call.path, "/log.wal/") {
			calls = append(calls, syncCall{call.at, call.at.Add(took)})
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return calls
}

func TestReadTrace(t *testing.T) {
	const trace = `7 1000.000001 fdatasync(9</d/log.bolt>) = 0 <0.000010>
7 1000.000100 fdatasync(9</d/log.bolt> <unfinished ...>
8 1000.000200 fsync(5</d/stable.bolt>) = 0 <0.000010>
8 1000.000300 fsync(6</d/log.wal/00-1.wal> <unfinished ...>
7 1000.000400 <... fdatasync resumed>) = 0 <0.000290>
8 1000.000500 <... fsync resumed>) = -1 EIO (Input/output error) <0.000190>
9 1000.000600 +++ exited with 0 +++
8 1000.000700 fdatasync(9</d/log.bolt>) = 0 <0.000010>
9 1000.000800 fdatasync(9</d/log.bolt> <unfinished ...>`
	at := func(micros int64) time.Time { return time.Unix(1000, micros*1000) }
	want := []syncCall{{at(1), at(11)}, {at(100), at(390)}, {at(700), at(710)}}
	got := readTrace(t, strings.NewReader(trace))
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func status(url string) int {
	response, err := http.Get(url)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
