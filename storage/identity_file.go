package storage

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// identityVersion is the version of the data directory as a whole; it is
// raised when an older program would misread any of its files.
//
//	1  the first: node.json, log.bolt, stable.bolt, snapshots/
const identityVersion = 1

// identityDocument is node.json:
//
//	{
//	  "version": 1,
//	  "nodeId": "n1",
//	  "incarnation": "5f0c...32 hexadecimal digits",
//	  "clusterId": "...",                    absent before it is known
//	  "incarnations": {"n2": "...", ...},    absent before any is pinned
//	  "filesCreated": true
//	}
//
// It needs no checksum: it is replaced as a whole, and every one of its values
// is compared with the configuration, with the other files or with the other
// members before the node may vote.
type identityDocument struct {
	Version      int               `json:"version"`
	NodeID       string            `json:"nodeId"`
	Incarnation  string            `json:"incarnation"`
	ClusterID    string            `json:"clusterId,omitempty"`
	Incarnations map[string]string `json:"incarnations,omitempty"`
	// FilesCreated says that log.bolt and stable.bolt exist: from then on, one
	// that is missing has been lost and is not made anew.
	FilesCreated bool `json:"filesCreated"`
}

// identityFileStore keeps the identity in node.json.
type identityFileStore struct {
	dir string

	mu           sync.Mutex // one Save at a time
	filesCreated bool       // as it was loaded or saved last
}

var _ IdentityStore = (*identityFileStore)(nil)

// Load implements IdentityStore.
func (s *identityFileStore) Load() (Identity, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := os.ReadFile(filepath.Join(s.dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, false, err
	}
	document, err := decodeIdentity(data)
	if err != nil {
		return Identity{}, false, err
	}
	s.filesCreated = document.FilesCreated
	return Identity{
		NodeID:       document.NodeID,
		Incarnation:  document.Incarnation,
		ClusterID:    document.ClusterID,
		Incarnations: document.Incarnations,
	}, true, nil
}

// Save implements IdentityStore.
func (s *identityFileStore) Save(identity Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saveLocked(identity)
}

// markFilesCreated saves that Raft's files exist.
func (s *identityFileStore) markFilesCreated(identity Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filesCreated = true
	return s.saveLocked(identity)
}

func (s *identityFileStore) saveLocked(identity Identity) error {
	data, err := json.MarshalIndent(identityDocument{
		Version:      identityVersion,
		NodeID:       identity.NodeID,
		Incarnation:  identity.Incarnation,
		ClusterID:    identity.ClusterID,
		Incarnations: identity.Incarnations,
		FilesCreated: s.filesCreated,
	}, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(s.dir, identityFile, append(data, '\n'))
}

// decodeIdentity looks at the version before anything else, so that a newer
// document is called newer and not damaged.
func decodeIdentity(data []byte) (identityDocument, error) {
	var header struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return identityDocument{}, damaged("%s cannot be read: %v", identityFile, err)
	}
	if header.Version > identityVersion {
		return identityDocument{}, fmt.Errorf("%w: %s says %d, this program knows %d; start the program that wrote it, or a newer one",
			ErrNewerVersion, identityFile, header.Version, identityVersion)
	}
	var document identityDocument
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		return identityDocument{}, damaged("%s cannot be read: %v", identityFile, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return identityDocument{}, damaged("%s has something after its end", identityFile)
	}
	return document, document.check()
}

func (d identityDocument) check() error {
	if d.Version < 1 {
		return damaged("%s has version %d", identityFile, d.Version)
	}
	if d.NodeID == "" {
		return damaged("%s names no node", identityFile)
	}
	if random, err := hex.DecodeString(d.Incarnation); err != nil || len(random) != incarnationBytes {
		return damaged("%s has the incarnation %q, which is not %d hexadecimal digits", identityFile, d.Incarnation, 2*incarnationBytes)
	}
	return nil
}

// replaceFile gives the file new content such that a crash leaves the old or
// the new, whole, and the new once it has returned.
func replaceFile(dir, name string, content []byte) error {
	temporary := filepath.Join(dir, name+temporarySuffix)
	if err := writeSynced(temporary, content); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeSynced(path string, content []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.Sync()
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) (err error) {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return file.Sync()
}
