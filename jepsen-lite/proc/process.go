//go:build linux

package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Exit is how a process ended.
type Exit struct {
	Machine string         `json:"machine"`
	Node    string         `json:"node"`
	PID     int            `json:"pid"`
	Code    int            `json:"code"`             // -1 if a signal ended it
	Signal  syscall.Signal `json:"signal,omitempty"` // 0 if it ended itself
	At      time.Time      `json:"at"`
	Words   string         `json:"words,omitempty"` // the end of its standard error
}

func (e Exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("%s (pid %d) was ended by %v", e.Node, e.PID, e.Signal)
	}
	return fmt.Sprintf("%s (pid %d) ended itself with code %d", e.Node, e.PID, e.Code)
}

// process is one tallyd from its start to its end.
type process struct {
	pid  int
	done chan struct{} // closed when it has been reaped
	exit Exit          // valid once done is closed

	mu       sync.Mutex
	expected bool // somebody has said that it will end
}

// launch starts a process on the thread and reaps it. Its output is appended to
// a log file. It is killed when the run ends for whatever reason. Where says which
// node it is.
func launch(on *thread, logPath string, env, command []string, where Exit) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	begin, err := log.Seek(0, 2)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that Ctrl-C in a terminal reaches the run and not its nodes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	on.do(func() { err = cmd.Start() })
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	where.PID = cmd.Process.Pid
	p := &process{pid: cmd.Process.Pid, done: make(chan struct{}), exit: where}
	go p.reap(cmd, logPath, begin)
	return p, nil
}

func (p *process) reap(cmd *exec.Cmd, logPath string, begin int64) {
	defer close(p.done)
	_ = cmd.Wait() // its state says more than its error
	p.exit.Code, p.exit.At, p.exit.Words = cmd.ProcessState.ExitCode(), time.Now(), lastWords(logPath, begin)
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		p.exit.Signal = status.Signal()
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) signal(s syscall.Signal) error {
	if p.ended() {
		return fmt.Errorf("pid %d has ended already", p.pid)
	}
	if err := syscall.Kill(p.pid, s); err != nil {
		return fmt.Errorf("%v to pid %d: %w", s, p.pid, err)
	}
	return nil
}

// expect says whether the end of the process is expected from now on; what was
// said when it ended counts.
func (p *process) expect(expected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if expected || !p.ended() {
		p.expected = expected
	}
}

func (p *process) wasExpected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expected
}

// lastWords returns what the process wrote last, at most 2 KiB of it.
func lastWords(path string, begin int64) string {
	const most = 2 << 10
	data, err := os.ReadFile(path)
	if err != nil || int64(len(data)) < begin {
		return ""
	}
	data = data[begin:]
	if len(data) > most {
		data = data[len(data)-most:]
	}
	return strings.TrimSpace(string(data))
}

// errNoProcess is asked of a machine on which no node runs.
var errNoProcess = errors.New("no node runs there")

// processState returns the state of a process as in proc(5): R, S, D, T, Z, ...;
// 0 if it is gone. It is Z also where the process was ended and its last threads
// hang in the kernel, the first among them: then that one's state is D.
func processState(pid int) byte {
	dir := "/proc/" + strconv.Itoa(pid)
	state := stateIn(dir + "/stat")
	if state == 'D' && noneLives(threadStates(dir)) {
		return 'Z'
	}
	return state
}

// threadStates returns the states of the threads of a process that are not gone.
func threadStates(dir string) (states []byte) {
	files, err := filepath.Glob(dir + "/task/*/stat")
	if err != nil {
		return nil
	}
	for _, file := range files {
		if s := stateIn(file); s != 0 {
			states = append(states, s)
		}
	}
	return states
}

// noneLives says that no thread can do anything more. In a node that lives, some
// thread of Go's runtime always sleeps or runs.
func noneLives(states []byte) bool {
	return !slices.ContainsFunc(states, func(s byte) bool { return s != 'D' && s != 'Z' && s != 'X' })
}

func stateIn(file string) byte {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	// The name is in parentheses and may hold anything.
	if i := strings.LastIndex(string(data), ") "); i >= 0 && i+2 < len(data) {
		return data[i+2]
	}
	return 0
}
