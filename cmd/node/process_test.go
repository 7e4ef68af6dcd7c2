package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProcess makes the test binary behave as tallyd, so that signals and exit
// codes are tested on a real process. It has no TALLY_ prefix: tallyd would
// refuse a variable it does not know.
const asProcess = "TEST_AS_TALLYD"

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) != "" {
		main()
	}
	os.Exit(m.Run())
}

// tallydProcess is one running tallyd.
type tallydProcess struct {
	*exec.Cmd
	stderr *bytes.Buffer
	urls   []string // what it printed to paste
}

// start runs tallyd until it has printed the lines to paste.
func start(t *testing.T, args ...string) *tallydProcess {
	t.Helper()
	p := &tallydProcess{Cmd: exec.Command(os.Args[0], args...), stderr: new(bytes.Buffer)}
	p.Env = append(os.Environ(), asProcess+"=1")
	p.Stderr = p.stderr
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() }) // for a test that failed on the way

	lines := bufio.NewScanner(stdout)
	for len(p.urls) < 3 && lines.Scan() {
		if command, ok := strings.CutPrefix(lines.Text(), "  curl "); ok {
			p.urls = append(p.urls, command[strings.Index(command, "http://"):])
		}
	}
	if len(p.urls) < 3 {
		t.Fatalf("tallyd ended: %v\n%s", p.Wait(), p.stderr)
	}
	return p
}

// exitCode waits for the end of the process.
func (p *tallydProcess) exitCode(t *testing.T) int {
	t.Helper()
	stuck := time.AfterFunc(30*time.Second, func() { _ = p.Process.Kill() })
	defer stuck.Stop()
	_ = p.Wait() // what it returns is in ProcessState
	return p.ProcessState.ExitCode()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answer(t *testing.T, method, url string) string {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d, %v\n%s", method, url, response.StatusCode, err, body)
	}
	return string(body)
}

// A newcomer's first minute: start, paste the printed lines, stop, start again.
func TestLoneNode(t *testing.T) {
	args := []string{"--data-dir", t.TempDir(), "--http-addr", freeAddr(t), "--peer-addr", freeAddr(t)}

	p := start(t, args...)
	answer(t, http.MethodPost, p.urls[0])
	answer(t, http.MethodPost, p.urls[0])
	if got := answer(t, http.MethodGet, p.urls[1]); !strings.Contains(got, `"likes":2`) {
		t.Errorf("after two increases: %s", got)
	}
	if got := answer(t, http.MethodGet, p.urls[2]); !strings.Contains(got, `"role":"leader"`) {
		t.Errorf("the cluster: %s", got)
	}
	base, _, _ := strings.Cut(p.urls[0], "/v1/")
	metrics := answer(t, http.MethodGet, base+"/metrics")
	for _, name := range []string{"tally_build_info{", "tally_log_lines_dropped_total 0", "\nraft_state_leader ", "\ngo_goroutines "} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics lacks %q", name)
		}
	}
	testStatusAndReady(t, base)

	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exitCode(t); code != exitOK {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, p.stderr)
	}

	p = start(t, args...)
	if got := answer(t, http.MethodGet, p.urls[1]); !strings.Contains(got, `"likes":2`) {
		t.Errorf("after a restart: %s", got)
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.exitCode(t); code != exitOK {
		t.Errorf("exit code %d after SIGINT\n%s", code, p.stderr)
	}
}

func testStatusAndReady(t *testing.T, url string) {
	t.Helper()
	if code, _, stderr := run(t, nil, "ready", "--url", url); code != exitOK {
		t.Errorf("ready: exit code %d: %s", code, stderr)
	}
	if code, stdout, _ := run(t, nil, "status", "--url", "http://"+freeAddr(t), "--url", url); code != exitOK || !strings.Contains(stdout, "leader") {
		t.Errorf("status: exit code %d: %s", code, stdout)
	}
	if code, stdout, _ := run(t, nil, "status", "--leader", "--url", url); code != exitOK || stdout != "n1\n" {
		t.Errorf("status --leader: exit code %d: %q", code, stdout)
	}
}

func TestNobodyAnswers(t *testing.T) {
	url := "http://" + freeAddr(t)
	for _, command := range []string{"ready", "status"} {
		code, _, stderr := run(t, nil, command, "--url", url)
		if code != exitFailure || !strings.Contains(stderr, "connection refused") {
			t.Errorf("%s: exit code %d: %s", command, code, stderr)
		}
	}
}

func TestBusyPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, flag := range []string{"--http-addr", "--peer-addr"} {
		args := []string{"--data-dir", t.TempDir(), "--http-addr", freeAddr(t), "--peer-addr", freeAddr(t), flag, l.Addr().String()}
		code, _, stderr := run(t, nil, args...)
		if code != exitFailure || !strings.Contains(stderr, l.Addr().String()) || !strings.Contains(stderr, "in use") {
			t.Errorf("%s busy: exit code %d: %s", flag, code, stderr)
		}
	}
}

// The second signal is for a stop that hangs.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	exited := make(chan int, 1)
	ctx, release := stopOnSignal(context.Background(), func(code int) { exited <- code })
	defer release()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := <-exited; code != exitSecondSignal {
		t.Errorf("exit code %d, want %d", code, exitSecondSignal)
	}
}
