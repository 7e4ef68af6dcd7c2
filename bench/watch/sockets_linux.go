package main

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// socket is a connection that the Go runtime knows nothing of. A goroutine that
// waits for each of 10,000 connections costs two system calls and two switches
// for a message; one that waits for all of them costs little more than one
// system call.
type socket int

// openSocket connects to a base URL that checkLoopback has let pass.
func openSocket(base string) (io.ReadWriteCloser, error) {
	at, err := netip.ParseAddrPort(strings.TrimPrefix(base, "http://"))
	if err != nil {
		return nil, err
	}
	family, address := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, address = syscall.AF_INET, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := socket(fd)
	limit := syscall.NsecToTimeval(answerMax.Nanoseconds())
	err = errors.Join(
		os.NewSyscallError("setsockopt", syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit)),
		os.NewSyscallError("setsockopt", syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit)),
		os.NewSyscallError("setsockopt", syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})),
		os.NewSyscallError("connect", syscall.Connect(fd, address)))
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s socket) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(s), p)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (s socket) Write(p []byte) (int, error) {
	n, err := syscall.Write(int(s), p)
	return n, os.NewSyscallError("write", err)
}

func (s socket) Close() error { return os.NewSyscallError("close", syscall.Close(int(s))) }

// pollMilliseconds is how soon readers notice that they are to end.
const pollMilliseconds = 100

// read starts the one goroutine that reads all connections. It ends when none is
// left, or the watchers are closing.
func (w *watchers) read() error {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	for i, watcher := range w.all {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}
		if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, int(watcher.socket.(socket)), &event); err != nil {
			_ = syscall.Close(epoll)
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	w.running.Go(func() {
		defer func() { _ = syscall.Close(epoll) }()
		w.readReady(epoll)
	})
	return nil
}

// interrupt has nothing to do: the reader looks now and then.
func (w *watchers) interrupt() {}

func (w *watchers) readReady(epoll int) {
	// The thread is in system calls most of the time; it need not look for others' work in between.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ready := make([]syscall.EpollEvent, 256)
	buffer := make([]byte, readBytes)
	for left := len(w.all); left > 0 && !w.closing.Load(); {
		n, err := syscall.EpollWait(epoll, ready, pollMilliseconds)
		if err != nil && err != syscall.EINTR {
			w.failed = os.NewSyscallError("epoll_wait", err)
			return
		}
		for i := range max(n, 0) {
			watcher := w.all[ready[i].Fd]
			if !w.readOnce(watcher, buffer) {
				_ = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_DEL, int(watcher.socket.(socket)), nil)
				left--
			}
		}
	}
}
