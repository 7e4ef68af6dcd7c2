//go:build linux

package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// RunPrefix begins the name of every folder of a run. What an earlier run left
// behind is recognised by it, and by nothing else.
const RunPrefix = "jepsen-lite-run-"

// binaryName is what tallyd is called in the folder of a run.
const binaryName = "tallyd-under-test"

// RemoveLeftovers finds what earlier runs have left behind although they have
// ended: nodes that run on, loop devices of their disks, and the disks in the
// folders of runs below parent. It removes those and says what it found. Runs that
// are still under way, which hold their folder locked, are let be.
func RemoveLeftovers(parent string) (found []string, err error) {
	var errs []error
	for pid, dir := range nodesOfRuns() {
		if Locked(dir) {
			continue
		}
		found = append(found, fmt.Sprintf("node with pid %d of %s", pid, dir))
		if err := syscall.Kill(pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	errs = append(errs, err)
	for _, file := range devices {
		image, err := os.ReadFile(file)
		dir := runFolder(string(image))
		if err != nil || dir == "" || Locked(dir) {
			continue
		}
		device := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(file)))
		found = append(found, fmt.Sprintf("loop device %s of %s", device, dir))
		if err := run("losetup", "-d", device); err != nil && exists(file) {
			errs = append(errs, err) // and it has not gone by itself meanwhile
		}
	}
	disks, err := filepath.Glob(filepath.Join(parent, RunPrefix+"*", "disks"))
	errs = append(errs, err)
	for _, dir := range disks {
		if Locked(filepath.Dir(dir)) {
			continue
		}
		found = append(found, "disks in "+dir)
		errs = append(errs, os.RemoveAll(dir))
	}
	return found, errors.Join(errs...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// nodesOfRuns returns the processes whose program lies in the folder of a run,
// with that folder.
func nodesOfRuns() map[int]string {
	nodes := map[int]string{}
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nodes
	}
	for _, link := range links {
		program, err := os.Readlink(link)
		program = strings.TrimSuffix(program, " (deleted)")
		if err != nil || filepath.Base(program) != binaryName {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil && runFolder(program) != "" {
			nodes[pid] = runFolder(program)
		}
	}
	return nodes
}

// runFolder returns the folder of a run that a path lies in, "" if none.
func runFolder(path string) string {
	for dir := filepath.Clean(path); dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if strings.HasPrefix(filepath.Base(dir), RunPrefix) {
			return dir
		}
	}
	return ""
}

// BinaryPath is where the program under test lies in the folder of a run.
func BinaryPath(dir string) string { return filepath.Join(dir, binaryName) }

// Lock marks a folder as that of a run under way, until the process ends.
func Lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(dir), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another run: %w", dir, err), f.Close())
	}
	return f, nil
}

// Locked says whether a run is under way in a folder, or may be: that of somebody
// else cannot be looked at.
func Locked(dir string) bool {
	f, err := os.Open(lockPath(dir))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }
