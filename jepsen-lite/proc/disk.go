//go:build linux

package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Disk is what a machine stores on: a file system of its own in a file, on which
// faults can be made, or a plain folder, on which they cannot.
type Disk struct {
	mount string // where the file system is seen; the folder itself without an image
	image string // "" is a plain folder
	bytes int64

	mu      sync.Mutex
	mounted bool
	frozen  *Freeze
}

// openDisk makes an empty disk in dir.
func openDisk(dir, name string, bytes int64) (*Disk, error) {
	d := &Disk{mount: filepath.Join(dir, name), bytes: bytes}
	if bytes > 0 {
		d.image = filepath.Join(dir, name+".img")
	}
	if err := os.MkdirAll(d.mount, 0o755); err != nil {
		return nil, err
	}
	return d, d.Wipe()
}

// Dir is the data directory of the node.
func (d *Disk) Dir() string { return filepath.Join(d.mount, "data") }

// Root is the directory that holds Dir and nothing else of the node.
func (d *Disk) Root() string { return d.mount }

// Faulty says that faults can be made on the disk.
func (d *Disk) Faulty() bool { return d.image != "" }

// Wipe makes the disk empty. No process may use it.
func (d *Disk) Wipe() error {
	if !d.Faulty() {
		return os.RemoveAll(d.Dir())
	}
	if err := d.Unmount(); err != nil {
		return err
	}
	if err := os.Remove(d.image); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.Create(d.image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(d.bytes), f.Close()); err != nil {
		return err
	}
	// Without lazy initialisation the kernel has nothing to do in the background;
	// without reserved blocks a full disk is full.
	if err := run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", d.image); err != nil {
		return err
	}
	return d.Mount()
}

// Mount puts the file system where the node expects it; what is in the journal
// of ext4 is played back, as after a power cut.
func (d *Disk) Mount() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.Faulty() || d.mounted {
		return nil
	}
	if err := run("mount", "-t", "ext4", "-o", "loop,noatime", d.image, d.mount); err != nil {
		return err
	}
	d.mounted = true
	return nil
}

// Unmount takes the file system away and frees its loop device.
func (d *Disk) Unmount() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mounted {
		return nil
	}
	if err := run("umount", d.mount); err != nil {
		return err
	}
	d.mounted = false
	return nil
}

// Lose cuts the disk's power: what was not synced is lost, and every further
// call fails until the disk is unmounted and mounted.
func (d *Disk) Lose() error { return shutDownFileSystem(d.mount) }

// Free returns how many bytes can still be written.
func (d *Disk) Free() (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.mount, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// Fill writes a ballast file, or makes it longer, so that only about leave bytes
// are free.
func (d *Disk) Fill(leave int64) error {
	free, err := d.Free()
	if err != nil || free <= leave {
		return err
	}
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, end, free-leave); err != nil {
		return fmt.Errorf("allocate %d bytes of ballast: %w", free-leave, err)
	}
	return nil
}

// Drain removes the ballast.
func (d *Disk) Drain() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d *Disk) ballast() string { return filepath.Join(d.mount, "ballast") }

// thaw ends a freeze that is still there.
func (d *Disk) thaw() {
	d.mu.Lock()
	frozen := d.frozen
	d.mu.Unlock()
	if frozen != nil {
		_ = frozen.Thaw() // what unmounts or kills next will tell
	}
}

// close frees everything, also from a disk that was left broken.
func (d *Disk) close() error {
	d.thaw()
	err := d.Unmount()
	if d.Faulty() {
		err = errors.Join(err, os.Remove(d.image), os.Remove(d.mount))
	}
	return err
}

// run runs a program of the system, and returns what it had to say as an error.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
