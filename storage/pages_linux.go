package storage

import "syscall"

// letGoOfPages takes the pages of a mapped file out of the memory that the
// process is charged for. They stay in the system's cache for as long as that
// has room, and come back when they are read.
func letGoOfPages(address, bytes uintptr) {
	// Nothing depends on it, so an error would interest nobody.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, address, bytes, syscall.MADV_DONTNEED)
}
