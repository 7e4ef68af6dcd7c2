package memdisk_test

import (
	"fmt"

	"github.com/hashicorp/raft"

	"tally/storage"
	"tally/storage/memdisk"
)

func Example() {
	disk := memdisk.New()
	config := storage.Config{NodeID: "n1", Fatal: func(err error) { fmt.Println("fatal:", err) }}

	store, err := storage.Assemble(disk.Open(), config)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("synced:", store.Log.StoreLog(&raft.Log{Index: 1}))
	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Unsynced: true})
	fmt.Println("not synced:", store.Log.StoreLog(&raft.Log{Index: 2}))

	disk.Crash()
	disk.Heal()
	after, err := storage.Assemble(disk.Open(), config)
	if err != nil {
		fmt.Println(err)
		return
	}
	last, err := after.Log.LastIndex()
	fmt.Println("after a power loss the log ends at", last, err)
	fmt.Println(store.Close(), after.Close())

	// Output:
	// synced: <nil>
	// not synced: <nil>
	// after a power loss the log ends at 1 <nil>
	// <nil> <nil>
}
