package main

import (
	"bytes"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// newLogger returns the node's logger. It writes to lines; what lines had to
// drop is reported on out directly.
func newLogger(s settings, out io.Writer, lines *logWriter) hclog.Logger {
	options := hclog.LoggerOptions{
		Name:       "tallyd",
		Level:      hclog.LevelFromString(s.LogLevel),
		JSONFormat: s.LogFormat == logFormatJSON || s.LogFormat == logFormatAuto && !isTerminal(out),
		TimeFormat: "2006-01-02T15:04:05.000Z07:00",
		Output:     out,
	}
	lines.dropped = hclog.New(&options)
	options.Output = lines
	return hclog.New(&options)
}

// isTerminal tells whether a person is likely to read out as it is written.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// logLinesMax is how many lines wait for a slow output before lines are dropped.
const logLinesMax = 8192

// logWriter takes log lines without ever waiting for the output: Raft logs from
// the goroutine that also answers heartbeats, so a stuck terminal or a full pipe
// would otherwise stop the whole node. Lines the output does not take in time
// are dropped and counted.
//
// One goroutine owns the output. It lives as long as the process.
type logWriter struct {
	queue   chan logItem
	lost    atomic.Uint64
	dropped hclog.Logger // says how many lines were dropped; nil says nothing
}

// logItem is one line, or, without a line, a request to tell when everything
// before it was written.
type logItem struct {
	line    []byte
	written chan struct{}
}

func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{queue: make(chan logItem, logLinesMax)}
	go w.run(out)
	return w
}

// Write takes one line; it never fails and never blocks.
func (w *logWriter) Write(line []byte) (int, error) {
	select {
	case w.queue <- logItem{line: bytes.Clone(line)}:
	default:
		w.lost.Add(1)
	}
	return len(line), nil
}

// Flush waits until the lines taken so far were written, or for timeout.
func (w *logWriter) Flush(timeout time.Duration) {
	deadline := time.After(timeout)
	written := make(chan struct{})
	select {
	case w.queue <- logItem{written: written}:
	case <-deadline:
		return
	}
	select {
	case <-written:
	case <-deadline:
	}
}

// Lost returns how many lines were dropped so far.
func (w *logWriter) Lost() uint64 { return w.lost.Load() }

func (w *logWriter) run(out io.Writer) {
	var reported uint64
	for item := range w.queue {
		if item.written != nil {
			close(item.written)
			continue
		}
		// A failing output is nobody's to repair from in here.
		_, _ = out.Write(item.line)
		if lost := w.lost.Load(); lost != reported && w.dropped != nil {
			w.dropped.Warn("log lines dropped: the output did not take them in time", "lines", lost-reported)
			reported = lost
		}
	}
}
