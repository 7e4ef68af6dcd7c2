// Package memdisk is a disk in memory for tests of real Raft nodes: it loses
// what was not synced when the power goes, and fails, hangs or dawdles when it
// is told to. It is made for testing/synctest: nothing sleeps or waits while it
// holds a mutex.
//
// A Disk outlives the processes that use it. Open gives its stores to a new
// process; what an earlier process still does with its own then no longer
// counts:
//
//	disk := memdisk.New()
//	store, err := storage.Assemble(disk.Open(), config) // a node starts
//	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Hang: true})
//	disk.Crash()                                         // power loss
//	store, err = storage.Assemble(disk.Open(), config)   // it starts again
//
// The package never writes a file and is never part of a running node.
package memdisk
