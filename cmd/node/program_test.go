package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// run carries out one command line that ends by itself.
func run(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors output
	p := &program{
		Environ: environ, Stdout: &out, Stderr: &errors,
		Exit: func(code int) { t.Errorf("the process was ended at once with code %d", code) },
	}
	code = p.Run(args)
	return code, out.String(), errors.String()
}

func TestHelp(t *testing.T) {
	code, got, _ := run(t, nil, "--help")
	if code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("tallyd --help has changed; read it, then: go test ./cmd/node -run TestHelp -update\n%s", got)
	}
}

// A wrong setting ends the program with exit code 2 and a line that says what
// to do, before anything is written to disk.
func TestUsageErrors(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    string
		environ string
		want    string
	}{
		{"unknown flag", "--nod-id=n1", "", "did you mean --node-id?"},
		{"unknown flag like none", "--colour=red", "", "unknown flag: --colour"},
		{"bad flag value", "--storage-timeout=5", "", `invalid argument "5" for "--storage-timeout" flag`},
		{"argument", "start", "", `"start" is neither a flag nor a command`},
		{"argument to a command", "version now", "", "no arguments are taken here"},
		{"unknown variable", "", "TALLY_NOD_ID=n1", "did you mean TALLY_NODE_ID?"},
		{"founder and joiner", "--node-id=n1 --initial-cluster=n1=127.0.0.1:9101 --join=127.0.0.1:9102", "", "exclude each other"},
		{"not among the founders", "--node-id=n4 --initial-cluster=n1=127.0.0.1:9101,n2=127.0.0.1:9102", "", "add n4=host:port"},
		{"everybody may call", "--http-addr=192.0.2.1:8101", "", "spell out insecure"},
		{"unknown identity", "--identity=jtw", "", "jtw"},
		{"lease as long as the heartbeat", "--leader-lease-timeout=350ms", "", "must be less than heartbeat timeout"},
		{"every address without an advertised one", "--peer-addr=0.0.0.0:9101", "", "advertised peer address"},
		{"a log of nearly nothing", "--log-bytes-max=1000", "", "log bytes max 1000 is not 0 (no bound) or at least 1048576"},
		{"bad node ID", "--node-id=n/1", "", "letters, digits"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			args := strings.Fields(test.args)
			if !strings.HasPrefix(test.args, "version") {
				args = append(args, "--data-dir="+data)
			}
			code, _, stderr := run(t, strings.Fields(test.environ), args...)
			if code != exitUsage || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, stderr %q; want code %d and %q", code, stderr, exitUsage, test.want)
			}
			if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the data directory was touched: %v", err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := run(t, nil, "version")
	if code != exitOK || !strings.HasPrefix(stdout, "tallyd ") || !strings.Contains(stdout, "command version 1\n") || !strings.Contains(stdout, "go1.") {
		t.Errorf("exit code %d, output %q", code, stdout)
	}
}

func TestSourceVersion(t *testing.T) {
	settings := func(pairs ...string) (s []debug.BuildSetting) {
		for i := 0; i < len(pairs); i += 2 {
			s = append(s, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return s
	}
	for _, test := range []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"a commit", debug.BuildInfo{Settings: settings("vcs.revision", "0123456789abcdef", "vcs.modified", "false")}, "devel-0123456789ab"},
		{"a modified commit", debug.BuildInfo{Settings: settings("vcs.revision", "0123456789abcdef", "vcs.modified", "true")}, "devel-0123456789ab-modified"},
		{"an installed module", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
	} {
		if got := sourceVersion(&test.info); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// output is a buffer that, like a file, several goroutines may write to.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// stuckOutput is an output that takes nothing until it is released.
type stuckOutput struct {
	output
	release chan struct{}
}

func (o *stuckOutput) Write(p []byte) (int, error) {
	<-o.release
	return o.output.Write(p)
}

// Ending must not wait for the output: a terminal that was stopped with Ctrl-S
// would otherwise keep a broken leader alive.
func TestFailStopDoesNotWaitForOutput(t *testing.T) {
	out := &stuckOutput{release: make(chan struct{})}
	defer close(out.release)
	logs := newLogWriter(out)
	if _, err := logs.Write([]byte("a line nobody reads\n")); err != nil {
		t.Fatal(err)
	}
	exited := make(chan int, 1)
	p := &program{Stderr: out, Exit: func(code int) { exited <- code }}
	start := time.Now()
	p.failStop(errors.New("disk on fire"), logs)
	if code := <-exited; code != exitFailStop {
		t.Errorf("exit code %d, want %d", code, exitFailStop)
	}
	if took := time.Since(start); took > 10*lastWordsTimeout {
		t.Errorf("took %v", took)
	}
}

func TestFailStopSaysWhy(t *testing.T) {
	var out output
	exited := make(chan int, 1)
	p := &program{Stderr: &out, Exit: func(code int) { exited <- code }}
	p.failStop(errors.New("disk on fire"), newLogWriter(new(output)))
	if code, want := <-exited, "tallyd: this node ends itself: disk on fire\n"; code != exitFailStop || out.String() != want {
		t.Errorf("exit code %d, output %q; want %d and %q", code, out.String(), exitFailStop, want)
	}
}

func TestLogNeverBlocks(t *testing.T) {
	out := &stuckOutput{release: make(chan struct{})}
	logs := newLogWriter(out)
	logger := newLogger(settings{LogFormat: logFormatText, LogLevel: "info"}, out, logs)
	const lines = 2 * logLinesMax
	for i := range lines {
		logger.Info("line", "number", i)
	}
	lost := logs.Lost()
	if lost == 0 || lost > lines {
		t.Fatalf("%d of %d lines dropped while nothing was read", lost, lines)
	}
	close(out.release)
	logs.Flush(10 * time.Second)
	text := out.String()
	written := uint64(strings.Count(text, "tallyd: line: number="))
	if written+lost != lines || !strings.Contains(text, "log lines dropped") {
		t.Errorf("%d lines written and %d dropped of %d; the drop must be reported", written, lost, lines)
	}
}
