//go:build !linux

package main

import (
	"io"
	"net"
	"strings"
)

// openSocket connects to a base URL that checkLoopback has let pass.
func openSocket(base string) (io.ReadWriteCloser, error) {
	dialer := net.Dialer{Timeout: answerMax, KeepAlive: -1}
	c, err := dialer.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetLinger(0)
}

// read starts a goroutine for each connection. They end when the connections
// are closed.
func (w *watchers) read() error {
	for _, watcher := range w.all {
		w.running.Go(func() {
			buffer := make([]byte, readBytes)
			for w.readOnce(watcher, buffer) {
			}
		})
	}
	return nil
}

// interrupt makes reads under way fail.
func (w *watchers) interrupt() {
	for _, watcher := range w.all {
		if watcher != nil { // it could not be opened
			_ = watcher.socket.Close()
		}
	}
}
