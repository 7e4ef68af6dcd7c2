package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard keeps what the demo says.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) say(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintln(&h.text, text)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

type fixture struct {
	*control
	t     *testing.T
	heard *heard
}

func open(t *testing.T) *fixture {
	t.Helper()
	h := new(heard)
	o := Options{Config: Config{TempDir: t.TempDir(), Say: h.say}, PerSecond: 200}
	cluster, writers, err := o.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(writers.Close(), cluster.Close()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(cluster.Dir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", cluster.Dir(), err)
		}
		if t.Failed() {
			t.Log(h.String())
		}
	})
	return &fixture{&control{cluster: cluster, writers: writers}, t, h}
}

func (f *fixture) must(line string) {
	f.t.Helper()
	if err := f.do(f.t.Context(), line); err != nil {
		f.t.Fatalf("%s: %v", line, err)
	}
}

// until waits for a condition.
func (f *fixture) until(what string, met func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// more waits until the writers have had some more answers.
func (f *fixture) more() {
	f.t.Helper()
	before := f.writers.Tally().Acknowledged
	f.until("more acknowledged changes", func() bool { return f.writers.Tally().Acknowledged > before+50 })
}

func (f *fixture) exact() {
	f.t.Helper()
	f.must("check")
	if t := f.writers.Tally(); len(t.Wrong) > 0 {
		f.t.Fatalf("wrong answers: %v", t.Wrong)
	}
}

func TestCountsStayExactThroughKillsAndPauses(t *testing.T) {
	f := open(t)
	f.more()
	for range 2 {
		killed := f.cluster.Leader()
		f.must("kill leader")
		f.more()
		if leader := f.cluster.Leader(); leader == killed {
			t.Fatalf("%s was killed and leads", leader)
		}
		f.exact()
		f.must("start")
		f.more()
	}
	paused := f.cluster.Leader()
	f.must("pause leader")
	f.until("another leader", func() bool { l := f.cluster.Leader(); return l != "" && l != paused })
	f.more()
	f.must("resume")
	f.more()
	f.exact()
	said := f.heard.String()
	for _, want := range []string{" killed: ", " leads now, ", " after n", " has caught up, ", " paused: ", " resumed: ", "exact: "} {
		if !strings.Contains(said, want) {
			t.Errorf("%q was not said", want)
		}
	}
}

// TestChangesWaitForAMajority: with one node of three nothing is acknowledged,
// and nothing is lost either.
func TestChangesWaitForAMajority(t *testing.T) {
	f := open(t)
	f.more()
	f.must("kill n1")
	f.must("pause n2")
	f.until("changes that wait", func() bool { return f.writers.Tally().Waiting == len(writerKeys()) })
	before := f.writers.Tally().Acknowledged
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.writers.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a check without a majority: %v", err)
	}
	if after := f.writers.Tally().Acknowledged; after != before {
		t.Errorf("%d changes were acknowledged by one node of three", after-before)
	}
	f.must("resume n2")
	f.more()
	f.must("start n1")
	f.exact()
}

func TestLeadershipIsHandedOver(t *testing.T) {
	f := open(t)
	to := "n1"
	if f.cluster.Leader() == to {
		to = "n2"
	}
	f.must("lead " + to)
	f.until(to+" to lead", func() bool { return f.cluster.Leader() == to })
	f.exact()
}

func TestMistakesAreExplained(t *testing.T) {
	f := open(t)
	for line, want := range map[string]string{
		"kill n9":   "there are [n1 n2 n3]",
		"resume n1": "is running, not paused",
		"resume":    "no node is paused",
		"start n2":  "kill it first",
		"lead":      "name the node",
		"lead n9":   "there are [n1 n2 n3]",
		"wait":      "how long",
		"dance":     "there are: kill",
	} {
		if err := f.do(t.Context(), line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}

func TestLeadershipIsNotHandedToANodeThatIsNotThere(t *testing.T) {
	f := open(t)
	for _, line := range []string{"kill n3", "pause n3"} {
		f.must(line)
		err := f.do(t.Context(), "lead n3")
		if want := "n3 is " + strings.Fields(line)[0]; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
		if line == "kill n3" {
			f.must("start n3")
		}
	}
	f.must("resume n3")
	f.exact()
}

// TestWrongCountsAreNoticed: the check can fail. A change by somebody else
// looks like one that counted twice.
func TestWrongCountsAreNoticed(t *testing.T) {
	f := open(t)
	f.more()
	if _, err := f.writers.client.Increase(t.Context(), Group, map[string]int64{"likes": 1}); err != nil {
		t.Fatal(err)
	}
	f.until("a wrong answer", func() bool { return len(f.writers.Tally().Wrong) > 0 })
	if !strings.Contains(exactness(f.writers.Tally()), "NOT") {
		t.Error(exactness(f.writers.Tally()))
	}
	if _, err := f.writers.client.Set(t.Context(), Group, map[string]int64{"nobody": 7}); err != nil {
		t.Fatal(err)
	}
	if err := f.do(t.Context(), "check"); !errors.Is(err, errNotExact) {
		t.Errorf("got %v", err)
	}
}

// TestOldKeysAreSettledByLooking: a change whose key has expired was made or was not.
func TestOldKeysAreSettledByLooking(t *testing.T) {
	f := open(t)
	f.more()
	for range cap(f.writers.turns) {
		<-f.writers.turns
	}
	before := f.writers.Tally().Acknowledged
	if !f.writers.lookedUp("likes") || f.writers.Tally().Acknowledged != before {
		t.Error("a change that was not made counts")
	}
	if _, err := f.writers.client.Increase(t.Context(), Group, map[string]int64{"likes": 1}); err != nil {
		t.Fatal(err)
	}
	if !f.writers.lookedUp("likes") || f.writers.Tally().Acknowledged != before+1 {
		t.Error("a change that was made does not count")
	}
	for range cap(f.writers.turns) {
		f.writers.turns <- struct{}{}
	}
	f.exact()
	if !expired("00000000-0001-7000-8000-000000000000") || expired(f.writers.client.NewIdempotencyKey()) {
		t.Error("the age of a key is misread")
	}
}

// TestNodeThatEndsItselfEndsTheDemo, as its process would.
func TestNodeThatEndsItselfEndsTheDemo(t *testing.T) {
	f := open(t)
	disk := errors.New("the disk is gone")
	m := f.cluster.members[1]
	f.cluster.nodeFailed(m, m.network, disk)
	var out bytes.Buffer
	o := Options{In: strings.NewReader(""), Out: &out}
	if err := o.converse(t.Context(), f.control, newLines(&out)); !errors.Is(err, disk) || !strings.Contains(err.Error(), "n2") {
		t.Errorf("got %v", err)
	}
	// A node that was killed may complain.
	f.must("kill n3")
	cut := newNetwork()
	cut.Cut()
	f.cluster.nodeFailed(f.cluster.members[2], cut, disk)
	select {
	case err := <-f.cluster.Failed():
		t.Errorf("a killed node ended the demo: %v", err)
	default:
	}
}

func TestBusyPortIsNamed(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	port := other.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	_, err = Open(t.Context(), Config{HTTPPort: port, TempDir: dir, Say: func(string) {}})
	if !errors.Is(err, ErrPortBusy) || !strings.Contains(err.Error(), fmt.Sprint(port)) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}

func TestPlainDemo(t *testing.T) {
	var out bytes.Buffer
	script := "wait 300ms\nkill leader\nwait 2s\nstart\nnonsense\ncheck\nquit\n"
	err := RunPlain(t.Context(), Options{
		Config: Config{TempDir: t.TempDir()}, PerSecond: 100, Tally: "tally",
		In: strings.NewReader(script), Out: &out,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"Try in another terminal", "tally increase room likes", " killed: ", "leads now", "changes go on", "is not understood", "exact: ", farewell} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}

func TestPlainDemoEndsByItself(t *testing.T) {
	var out bytes.Buffer
	begin := time.Now()
	err := RunPlain(t.Context(), Options{
		Config: Config{TempDir: t.TempDir()}, PerSecond: 100, Tally: "tally", Duration: 2 * time.Second,
		In: strings.NewReader(""), Out: &out,
	})
	if err != nil || !strings.Contains(out.String(), "exact: ") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}
