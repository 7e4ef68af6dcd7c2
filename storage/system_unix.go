//go:build linux || darwin

package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// lockWait is how long lock waits for a process that is just ending: the
	// kernel lets go of a killed process's locks some time after the kill.
	lockWait  = time.Second
	lockRetry = 25 * time.Millisecond
)

// lock takes the lock that keeps a second process out of the data directory.
// Closing the file, or the end of the process, gives it back. The file names
// the process that holds it, for the other one's message.
func lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for waited := time.Duration(0); ; waited += lockRetry {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || waited >= lockWait {
			break
		}
		time.Sleep(lockRetry)
	}
	if err == nil {
		err = writeHolder(file)
	} else if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w by the process %s; stop it first, or choose another directory", ErrInUse, readHolder(file))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintln(file, os.Getpid())
	return err
}

func readHolder(file *os.File) string {
	text, err := io.ReadAll(io.LimitReader(file, 20))
	if err != nil || len(text) == 0 {
		return "that has not said its number yet"
	}
	return strings.TrimSpace(string(text))
}

// freeBytes returns the space that is left for this user on the file system of path.
func freeBytes(path string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("storage: free space of %s: %w", path, err)
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), nil
}
