package clustertest

import (
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// journalLines is how much of the nodes' log a failed test shows.
const journalLines = 300

// journal keeps the last lines that the nodes logged. A test that passes never
// shows them, and none is written after its end, which testing forbids.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func newJournal() *journal { return &journal{} }

func (j *journal) logger(id string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: id, Level: hclog.Info, Output: j, TimeFormat: "15:04:05.000"})
}

// Write takes one line, as hclog writes it.
func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(line))
	if len(j.lines) > 2*journalLines {
		j.lines = append([]string(nil), j.lines[journalLines:]...)
	}
	return len(line), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines[max(0, len(j.lines)-journalLines):], "")
}
