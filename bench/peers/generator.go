package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	latencyMax    = time.Minute
	latencyDigits = 3
	answerTimeout = 30 * time.Second
)

// Sample is what one run of one contender measured.
type Sample struct {
	PerSecond float64       `json:"perSecond"` // of changes, or of reads
	P50       time.Duration `json:"p50Ns"`
	P99       time.Duration `json:"p99Ns"`
	Max       time.Duration `json:"maxNs"`
	Failed    int           `json:"failed"`
}

// Load is a stream of HTTP requests. The generator writes prepared bytes to
// plain connections and reads no more of an answer than where it ends, so that
// it takes little of the processor that it shares with what it measures.
type Load struct {
	Addr        string // host:port
	Connections int
	// Request returns the bytes of a worker's i-th request, which are not changed.
	Request func(worker, i int) []byte
	// Each request is worth that many changes; 0 means 1.
	Each int
	// PerSecond is the rate of an open loop; 0 is a closed loop.
	PerSecond float64
}

// tally of one worker.
type count struct {
	latencies *hdrhistogram.Histogram
	failed    int
	err       error
}

// Run puts the load on for as long as ctx lives.
func (l Load) Run(ctx context.Context) (Sample, error) {
	counts := make([]count, l.Connections)
	began := time.Now()
	var workers sync.WaitGroup
	for worker := range counts {
		workers.Go(func() { counts[worker] = l.work(ctx, worker, began) })
	}
	workers.Wait()
	return summarize(counts, max(l.Each, 1), time.Since(began))
}

func summarize(counts []count, each int, took time.Duration) (Sample, error) {
	all := newHistogram()
	var s Sample
	var errs []error
	for _, c := range counts {
		all.Merge(c.latencies)
		s.Failed += c.failed
		errs = append(errs, c.err)
	}
	s.PerSecond = float64(all.TotalCount()) * float64(each) / took.Seconds()
	s.P50 = time.Duration(all.ValueAtQuantile(50)) * time.Microsecond
	s.P99 = time.Duration(all.ValueAtQuantile(99)) * time.Microsecond
	s.Max = time.Duration(all.Max()) * time.Microsecond
	return s, errors.Join(errs...)
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMax.Microseconds(), latencyDigits)
}

func (l Load) work(ctx context.Context, worker int, began time.Time) (c count) {
	c.latencies = newHistogram()
	conn, err := net.Dial("tcp", l.Addr)
	if err != nil {
		c.err = err
		return c
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	for i := 0; ; i++ {
		due := l.due(ctx, worker, i, began)
		if ctx.Err() != nil {
			return c
		}
		ok, err := ask(conn, answers, l.Request(worker, i))
		if err != nil {
			c.err = fmt.Errorf("request %d of connection %d: %w", i, worker, err)
			return c
		}
		if !ok {
			c.failed++
			continue
		}
		if err := c.latencies.RecordValue(max(1, time.Since(due).Microseconds())); err != nil {
			c.err = err
			return c
		}
	}
}

// due waits until a request is due and returns that time: now in a closed loop.
func (l Load) due(ctx context.Context, worker, i int, began time.Time) time.Time {
	if l.PerSecond == 0 {
		return time.Now()
	}
	number := float64(i*l.Connections + worker)
	due := began.Add(time.Duration(number / l.PerSecond * float64(time.Second)))
	if wait := time.Until(due); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return due
}

// ask sends one request and reads its answer; ok is a status of 200.
func ask(conn net.Conn, answers *bufio.Reader, request []byte) (ok bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return false, err
	}
	if _, err := conn.Write(request); err != nil {
		return false, err
	}
	return readAnswer(answers)
}

func readAnswer(r *bufio.Reader) (ok bool, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	ok = bytes.HasPrefix(line, []byte("HTTP/1.1 200"))
	length, chunked := 0, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return false, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	if chunked {
		return ok, skipChunks(r)
	}
	_, err = r.Discard(length)
	return ok, err
}

func skipChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, size+2); err != nil || size == 0 {
			return err
		}
	}
}

// post makes the bytes of a POST with a JSON body.
func post(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// get makes the bytes of a GET.
func get(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path)
}

// prepared makes n requests beforehand; each worker goes through them from a
// place of its own.
func prepared(n int, request func(i int) []byte) func(worker, i int) []byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = request(i)
	}
	return func(worker, i int) []byte { return all[(worker*7919+i)%n] }
}
