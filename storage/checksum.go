package storage

import (
	"encoding/binary"

	"github.com/hashicorp/raft"
)

// Commands carry a checksum of their own (Config.Verify). The only other entries
// with a payload are the cluster's configurations, which say whose votes count,
// and a damaged one would be believed. So they are stored with the CRC-32C of
// their payload in Extensions, which Raft keeps and sends with the entry and
// does not use itself:
//
//	Extensions   CRC-32C of Data, uint32, big-endian
//
// Entries of before that have no extensions, and are taken as they are.
const configurationChecksumBytes = 4

// withChecksums returns the entries as they are to be stored. It changes none:
// they are the caller's.
func withChecksums(entries []*raft.Log) []*raft.Log {
	stored := entries
	for i, entry := range entries {
		if entry.Type != raft.LogConfiguration || len(entry.Extensions) > 0 {
			continue
		}
		if &stored[0] == &entries[0] {
			stored = append([]*raft.Log(nil), entries...)
		}
		sealed := *entry
		sealed.Extensions = binary.BigEndian.AppendUint32(nil, castagnoli(entry.Data))
		stored[i] = &sealed
	}
	return stored
}

// verify says why an entry is not what was stored, or nil.
func (s *logStore) verify(entry *raft.Log) error {
	if entry.Type == raft.LogConfiguration && len(entry.Extensions) == configurationChecksumBytes &&
		binary.BigEndian.Uint32(entry.Extensions) != castagnoli(entry.Data) {
		return damaged("log entry %d: the configuration's CRC-32C is wrong", entry.Index)
	}
	if s.guard.config.Verify == nil {
		return nil
	}
	if err := s.guard.config.Verify(entry); err != nil {
		return damaged("log entry %d: %v", entry.Index, err)
	}
	return nil
}
