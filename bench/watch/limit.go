package main

import (
	"fmt"
	"syscall"
)

// descriptorsBeside is what is open besides the watchers' connections.
const descriptorsBeside = 500

// raiseDescriptors makes room for so many connections. The node has the same
// hard limit and raises its own.
func raiseDescriptors(connections int) error {
	want := uint64(connections + descriptorsBeside)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur >= want {
		return nil
	}
	if limit.Max < want {
		return fmt.Errorf("%d connections need %d file descriptors, and the hard limit is %d: raise it (ulimit -Hn %d), or give --connections", connections, want, limit.Max, want)
	}
	limit.Cur = want
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
