package proxy_test

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"tally/jepsen-lite/proxy"
)

// limit is how long anything here may take before the test gives up.
const limit = 10 * time.Second

func TestBytesPass(t *testing.T) {
	r := start(t, proxy.Conditions{})
	c := r.dial(t)
	r.mustEcho(t, c, "hello")
	r.mustEcho(t, c, "again")
	if s := r.proxy.Stats(); s.Connections != 1 || s.Bytes != 2*len("helloagain") {
		t.Errorf("stats %+v", s)
	}
}

// Who ends its half of a connection is still answered.
func TestHalfOfAConnectionEnds(t *testing.T) {
	r := start(t, proxy.Conditions{})
	c := r.dial(t)
	mustWrite(t, c, "all")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if string(got) != "all" && !errors.Is(err, io.EOF) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestDelay(t *testing.T) {
	const delay = 30 * time.Millisecond
	r := start(t, proxy.Conditions{Delay: delay})
	c := r.dial(t)
	begin := time.Now()
	r.mustEcho(t, c, "hello")
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("there and back took %v, want at least %v", took, 2*delay)
	}
	if s := r.proxy.Stats(); s.Delayed != 2 {
		t.Errorf("stats %+v, want 2 pieces delayed", s)
	}
}

func TestDrip(t *testing.T) {
	const text = "forty bytes, which come five at a time.."
	r := start(t, proxy.Conditions{BytesPerSecond: 100})
	c := r.dial(t)
	begin := time.Now()
	mustWrite(t, c, text)
	mustRead(t, c, text[:20])
	if took := time.Since(begin); took < 150*time.Millisecond {
		t.Errorf("20 bytes at 100 bytes a second came in %v", took)
	}
}

func TestStallAndItsEnd(t *testing.T) {
	for _, way := range []proxy.Direction{proxy.Forward, proxy.Back, proxy.Both} {
		r := start(t, proxy.Conditions{Stall: way})
		c := r.dial(t)
		mustWrite(t, c, "hello")
		await(t, "something is withheld", func() bool { return r.proxy.Stats().Withheld > 0 })
		arrived := r.received.Load() > 0
		if want := way == proxy.Back; arrived != want {
			t.Errorf("stall %d: arrived at the server: %v, want %v", way, arrived, want)
		}
		r.set(proxy.Conditions{})
		mustRead(t, c, "hello") // it was withheld and not lost
	}
}

func TestStallBeginsLater(t *testing.T) {
	r := start(t, proxy.Conditions{Stall: proxy.Both, StallAfter: 300 * time.Millisecond})
	c := r.dial(t)
	r.mustEcho(t, c, "hello")
	await(t, "a stall", func() bool {
		mustWrite(t, c, "x")
		return r.proxy.Stats().Withheld > 0
	})
}

func TestReset(t *testing.T) {
	r := start(t, proxy.Conditions{ResetAfter: 20 * time.Millisecond})
	c := r.dial(t)
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the connection ended in order, want a reset")
	}
	await(t, "a reset is counted", func() bool { return r.proxy.Stats().Resets == 1 })
}

// A ghost is sent what the real connection began with, and no more.
func TestGhosts(t *testing.T) {
	r := start(t, proxy.Conditions{Ghosts: 2})
	c := r.dial(t)
	r.mustEcho(t, c, "hello")
	r.mustEcho(t, c, "more")
	await(t, "both ghosts have arrived", func() bool { return r.received.Load() == int64(3*len("hello")+len("more")) })
	if s := r.proxy.Stats(); s.Ghosts != 2 || s.Connections != 1 {
		t.Errorf("stats %+v, want 2 ghosts of 1 connection", s)
	}
}

func TestCloseEndsConnections(t *testing.T) {
	r := start(t, proxy.Conditions{Stall: proxy.Both})
	c := r.dial(t)
	mustWrite(t, c, "hello")
	await(t, "something is withheld", func() bool { return r.proxy.Stats().Withheld > 0 })
	if err := r.proxy.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the connection ended in order, want a reset")
	}
}

// rig is a proxy in front of a server that sends back what it is sent.
type rig struct {
	proxy      *proxy.Proxy
	conditions atomic.Pointer[proxy.Conditions]
	received   atomic.Int64 // bytes, by the server
}

func start(t *testing.T, conditions proxy.Conditions) *rig {
	t.Helper()
	r := &rig{}
	r.set(conditions)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go r.serve(server)
	r.proxy, err = proxy.Open(proxy.Config{
		Listen: "127.0.0.1:0", Target: server.Addr().String(),
		Judge: func(net.Addr) proxy.Conditions { return *r.conditions.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.proxy.Close() }) // a test may have closed it
	return r
}

func (r *rig) set(c proxy.Conditions) { r.conditions.Store(&c) }

func (r *rig) serve(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, io.TeeReader(c, counting{&r.received})) // a reset is what some tests want
		}()
	}
}

type counting struct{ n *atomic.Int64 }

func (c counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func (r *rig) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.proxy.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *rig) mustEcho(t *testing.T, c net.Conn, text string) {
	t.Helper()
	mustWrite(t, c, text)
	mustRead(t, c, text)
}

func mustWrite(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
