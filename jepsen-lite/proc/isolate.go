//go:build linux

package proc

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"unsafe"
)

// envIsolated tells the program that it runs in namespaces of its own.
const envIsolated = "JEPSEN_LITE_ISOLATED"

// Isolated says whether this program runs in a network and a mount namespace
// that Isolate made for it.
func Isolated() bool { return os.Getenv(envIsolated) != "" }

// Isolate runs this program once more, with the same arguments and what env adds,
// in a network and a mount namespace of its own, and returns its exit code. What
// the program mounts and connects there, the kernel takes away when it has
// ended, however it ended. Signals are passed on.
//
// ErrNoIsolation, wrapped, says that it cannot be done here and that nothing ran.
func Isolate(env ...string) (code int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.Join(ErrNoIsolation, errors.New("it takes root"))
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(append(os.Environ(), envIsolated+"=1"), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// Unshareflags and not Cloneflags: with them the mounts become private first.
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		// A group of its own: Ctrl-C comes once, from here.
		Setpgid: true,
		// If this process is killed, the run still heals and ends.
		Pdeathsig: syscall.SIGTERM,
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	// The parent-death signal belongs to the thread that starts the child.
	starter, err := startThread(false)
	if err != nil {
		return 0, err
	}
	defer starter.close()
	starter.do(func() { err = cmd.Start() })
	if err != nil {
		return 0, errors.Join(ErrNoIsolation, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its state says more than its error
	}()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may have ended just now
		case <-ended:
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// ErrNoIsolation is why a run shares network and mounts with everybody.
var ErrNoIsolation = errors.New("no namespaces of its own")

// raiseLoopback turns the loopback interface on, which a new network namespace
// has off.
func raiseLoopback() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(socket) }()
	request := struct { // struct ifreq of netdevice(7)
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
