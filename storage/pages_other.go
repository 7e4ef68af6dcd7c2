//go:build !linux

package storage

// letGoOfPages leaves the pages to the system, which takes them when it needs room.
func letGoOfPages(_, _ uintptr) {}
