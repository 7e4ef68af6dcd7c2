package main

import (
	"bufio"
	"context"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestReadAnswer(t *testing.T) {
	tests := []struct {
		name, answer string
		ok, fails    bool
	}{
		{"with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, false},
		{"in chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", true, false},
		{"refused", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}", false, false},
		{"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false, true},
		{"no length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false, true},
		{"nothing", "", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := bufio.NewReader(strings.NewReader(tt.answer))
			ok, err := readAnswer(r)
			if (err != nil) != tt.fails || err == nil && ok != tt.ok {
				t.Fatalf("%v, %v", ok, err)
			}
			if err == nil && r.Buffered() > 0 {
				t.Errorf("%d bytes are left, the next answer would begin there", r.Buffered())
			}
		})
	}
}

// What failed is not in the rate, and a lost connection is an error.
func TestLoadCounts(t *testing.T) {
	served := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served++
		if served%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	requests := 0
	load := Load{Addr: server.Listener.Addr().String(), Connections: 1, Request: func(_, i int) []byte {
		if requests++; requests == 10 {
			cancel()
		}
		return post("/", "{}")
	}}
	sample, err := load.Run(ctx)
	if err != nil || sample.Failed != 5 || sample.PerSecond <= 0 {
		t.Errorf("%+v, %v; want 5 of 10 failed", sample, err)
	}

	server.CloseClientConnections()
	server.Close()
	if _, err := load.Run(t.Context()); err == nil {
		t.Error("nobody listens, and that was no error")
	}
}

// In an open loop, latency counts from when a request was due, not from when
// it could be sent at last.
func TestOpenLoopCountsWaiting(t *testing.T) {
	const pause = 200 * time.Millisecond
	first := true
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if first {
			first = false
			time.Sleep(pause)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*pause)
	defer cancel()
	load := Load{Addr: server.Listener.Addr().String(), Connections: 1, PerSecond: 1000, Request: func(int, int) []byte { return get("/") }}
	sample, err := load.Run(ctx)
	if err != nil || sample.P99 < pause/2 {
		t.Errorf("%+v, %v: what waited behind the slow request must show", sample, err)
	}
}

func TestParseRedis(t *testing.T) {
	out := `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n" +
		`"HINCRBY group:__rand_int__ likes 1","46948.36","1.316","0.320","1.207","2.039","5.375","9.215"` + "\n"
	got, err := parseRedis(out)
	if err != nil || got.PerSecond != 46948.36 || got.P50 != 1207*time.Microsecond || got.P99 != 5375*time.Microsecond || got.Max != 9215*time.Microsecond {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "a,b\n", strings.Replace(out, "46948.36", "many", 1)} {
		if _, err := parseRedis(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestCompare(t *testing.T) {
	samples := func(rates ...float64) (all []Sample) {
		for _, r := range rates {
			all = append(all, Sample{PerSecond: r, P99: time.Duration(1e9 / r)})
		}
		return all
	}
	tests := []struct {
		name    string
		target  target
		median  float64
		reached bool
	}{
		{"reached", target{of: "a", against: "b", measure: rate, atLeast: 2}, 2, true},
		{"short", target{of: "a", against: "b", measure: rate, atLeast: 2.1}, 2, false},
		{"at most", target{of: "a", against: "b", measure: p99, atMost: 0.5}, 0.5, true},
		{"too much", target{of: "b", against: "a", measure: p99, atMost: 0.5}, 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := result{Samples: map[string][]Sample{"a": samples(100, 200, 900), "b": samples(100, 100, 100)}}
			r.compare([]target{tt.target, {of: "a", against: "missing", measure: rate}})
			if len(r.Ratios) != 1 || math.Abs(r.Ratios[0].Median-tt.median) > 0.01 || r.Ratios[0].Reached != tt.reached {
				t.Errorf("%+v", r.Ratios)
			}
		})
	}
}

func TestCeilingServes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := serveCeiling(listener.Addr().String()); err == nil {
		t.Error("two servers listen on one port")
	}
}

func TestPlotStaysInside(t *testing.T) {
	svg := plot([]curveLine{{Name: "tally", Points: []curvePoint{{Offered: 1000, P99: time.Microsecond}, {Offered: 64000, P99: time.Hour}}}})
	if !strings.Contains(svg, "60.0,360.0 700.0,60.0") {
		t.Errorf("the line is not drawn from corner to corner:\n%s", svg)
	}
}
