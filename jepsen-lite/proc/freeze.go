//go:build linux

package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// FreezeLimit is the longest that a disk stays frozen, for when nobody is left who
// could thaw it. No fault may need longer to be felt.
const FreezeLimit = 90 * time.Second

// FreezeCommand is the first argument with which this program is run again as
// the process that holds a disk frozen.
const FreezeCommand = "hold-frozen"

// Freeze is a disk on which every write hangs. It is held by a process of its
// own, which thaws the disk when it is told to, when the run has ended without a
// word, or after FreezeLimit: a process that hangs in a frozen file system cannot
// even be killed.
type Freeze struct {
	disk   *Disk
	cmd    *exec.Cmd
	stdin  io.Closer
	thawed sync.Once
	err    error
}

// Freeze makes every write to the disk hang until Thaw.
func (d *Disk) Freeze() (*Freeze, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, FreezeCommand, d.mount)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f := &Freeze{disk: d, cmd: cmd, stdin: stdin}
	answer, err := io.ReadAll(stdout) // it closes its output when the disk is frozen
	if err != nil || string(answer) != frozenWord {
		return nil, errors.Join(fmt.Errorf("freeze %s: %q", d.mount, answer), err, f.Thaw())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = f
	return f, nil
}

// Thaw lets the disk go on.
func (f *Freeze) Thaw() error {
	f.thawed.Do(func() {
		_ = f.stdin.Close() // it may have ended already, which Wait tells
		f.err = f.cmd.Wait()
		f.disk.mu.Lock()
		defer f.disk.mu.Unlock()
		f.disk.frozen = nil
	})
	return f.err
}

const frozenWord = "frozen"

// HoldFrozen is the process that FreezeCommand asks for: it freezes the file
// system at dir and thaws it when its standard input ends.
func HoldFrozen(dir string, stdin io.Reader, stdout io.WriteCloser) error {
	f, err := os.Open(dir) // before freezing: afterwards even this might hang
	if err != nil {
		return err
	}
	defer f.Close()
	if err := ioctlFile(f, fifreeze, 0); err != nil {
		return err
	}
	_, sayErr := io.WriteString(stdout, frozenWord)
	sayErr = errors.Join(sayErr, stdout.Close())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, stdin) // its end is the message, however it comes
	}()
	select {
	case <-ended:
	case <-time.After(FreezeLimit):
	}
	return errors.Join(sayErr, ioctlFile(f, fithaw, 0))
}
