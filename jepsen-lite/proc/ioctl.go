//go:build linux

package proc

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// The requests of linux/fs.h and fs/ext4/ext4.h.
const (
	fifreeze        = 0xC0045877
	fithaw          = 0xC0045878
	ext4Shutdown    = 0x8004587D
	shutdownNoFlush = 2 // EXT4_GOING_FLAGS_NOLOGFLUSH: what was not synced is lost
)

func ioctl(dir string, request, argument uintptr) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return ioctlFile(f, request, argument)
}

func ioctlFile(f *os.File, request, argument uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, argument); errno != 0 {
		return fmt.Errorf("ioctl %#x on %s: %w", request, f.Name(), errno)
	}
	return nil
}

// shutDownFileSystem makes an ext4 file system lose what it has not written and
// answer every further call with an error, as when the power goes.
func shutDownFileSystem(dir string) error {
	flag := uint32(shutdownNoFlush)
	return ioctl(dir, ext4Shutdown, uintptr(unsafe.Pointer(&flag)))
}
