package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds how long a system may take until it serves.
const startTimeout = time.Minute

// processes are the servers of one system. stop ends them.
type processes struct {
	dir     string // data and logs
	running map[string]*exec.Cmd
}

func newProcesses(dir string) *processes {
	return &processes{dir: dir, running: map[string]*exec.Cmd{}}
}

// start runs a program under a name; what it says goes to <dir>/<name>.log.
func (p *processes) start(name, program string, args ...string) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	command := exec.Command(program, args...)
	command.Dir, command.Stdout, command.Stderr = p.dir, log, log
	// Should this program be killed, its servers end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	p.running[name] = command
	return nil
}

// kill ends one process at once and waits for it.
func (p *processes) kill(name string) {
	if command := p.running[name]; command != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		delete(p.running, name)
	}
}

func (p *processes) stop() {
	for name := range p.running {
		p.kill(name)
	}
}

// residentBytes asks the system what memory a process has.
func (p *processes) residentBytes(name string) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.running[name].Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		var kilobytes uint64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kilobytes); err == nil {
			return kilobytes << 10, nil
		}
	}
	return 0, errors.New("the system does not say")
}

// freePorts returns loopback ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// await tries until it succeeds or a minute is over.
func await(ctx context.Context, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// call makes one HTTP call and decodes its answer.
func call(method, url, body string, answer any) error {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", response.StatusCode, data)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}
