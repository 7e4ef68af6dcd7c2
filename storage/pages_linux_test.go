package storage_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// A log of 48 MB is written and read; only a part of it may count as memory of
// the process at any time, and all of it must read as it was written.
func TestMappedLogDoesNotCountAsMemory(t *testing.T) {
	const batches, batchEntries, entryBytes, residentMax = 48, 64, 16 << 10, 20 << 20
	dir := t.TempDir()
	store := mustOpen(t, dir)
	defer mustClose(t, store)
	most := 0
	look := func() { most = max(most, residentBytesOf(t, filepath.Join(dir, "log.bolt"))) }
	data := func(index uint64) []byte {
		return bytes.Repeat(binary.BigEndian.AppendUint64(nil, index), entryBytes/8)
	}

	for batch := range batches {
		logs := entries(uint64(batch*batchEntries+1), uint64((batch+1)*batchEntries))
		for _, entry := range logs {
			entry.Data = data(entry.Index)
		}
		mustStore(t, store.Log, logs)
		look()
	}
	for index := uint64(1); index <= batches*batchEntries; index++ {
		var entry raft.Log
		if err := store.Log.GetLog(index, &entry); err != nil || !bytes.Equal(entry.Data, data(index)) {
			t.Fatalf("entry %d: %d bytes, %v", index, len(entry.Data), err)
		}
		if index%batchEntries == 0 {
			look()
		}
	}
	if most == 0 || most > residentMax {
		t.Errorf("%d bytes of the log were in memory, more than 0 and at most %d may be", most, residentMax)
	}
}

// residentBytesOf asks the system how much of a mapped file counts as memory.
func residentBytesOf(t *testing.T, path string) (sum int) {
	t.Helper()
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = maps.Close() }()
	inFile := false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line, kilobytes := lines.Text(), 0
		if strings.Contains(line, "-") && strings.Contains(line, " r") {
			inFile = strings.HasSuffix(line, path)
		}
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &kilobytes); err == nil && inFile {
			sum += kilobytes << 10
		}
	}
	return sum
}
