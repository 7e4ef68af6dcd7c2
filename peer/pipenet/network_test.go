package pipenet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"tally/peer/pipenet"
)

// TestConnIsANetConn runs the standard suite for implementations of net.Conn.
func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		a, b = dialed(t, pipenet.New())
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

// dialed is a connection from host a to host b.
func dialed(t *testing.T, n *pipenet.Network) (a, b net.Conn) {
	t.Helper()
	l, err := n.Host("b").Listen("b:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = n.Host("a").Dial(t.Context(), l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// receive reads as many bytes as the text has.
func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, error %v, want %q", got, err, want)
	}
}

// until sets a deadline that far from now.
func until(t *testing.T, set func(time.Time) error, d time.Duration) {
	t.Helper()
	if err := set(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
}

func inBubble(t *testing.T, test func(t *testing.T, n *pipenet.Network, a, b net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := pipenet.New()
		a, b := dialed(t, n)
		defer a.Close()
		defer b.Close()
		test(t, n, a, b)
	})
}

func TestDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipenet.Network, a, b net.Conn) {
		n.Delay("a", "b", 30*time.Millisecond)
		start := time.Now()
		send(t, a, "ping")
		receive(t, b, "ping")
		if took := time.Since(start); took != 30*time.Millisecond {
			t.Errorf("there it took %v", took)
		}
		send(t, b, "pong")
		receive(t, a, "pong")
		if took := time.Since(start); took != 30*time.Millisecond {
			t.Errorf("back it took %v", took-30*time.Millisecond)
		}
		a.Close()
		if _, err := b.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != 60*time.Millisecond {
			t.Errorf("the end came after %v: %v", time.Since(start), err)
		}
	})
}

func TestCutStallsOneDirection(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipenet.Network, a, b net.Conn) {
		n.Cut("a", "b")
		send(t, a, "later")
		until(t, b.SetReadDeadline, time.Minute)
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read across a cut: %v", err)
		}
		send(t, b, "still")
		receive(t, a, "still")
		until(t, b.SetReadDeadline, time.Hour)
		time.AfterFunc(time.Second, func() { n.Heal("a", "b") })
		receive(t, b, "later")
		if got := n.Traffic("a", "b"); got.Stalled != 5 || got.Written != 5 || got.Delivered != 5 {
			t.Errorf("traffic %+v", got)
		}
	})
}

func TestWriteBlocksWhenTheBufferIsFull(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipenet.Network, a, b net.Conn) {
		until(t, a.SetWriteDeadline, time.Second)
		written, err := a.Write(make([]byte, 2<<20))
		if written != 1<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d bytes, error %v", written, err)
		}
		var reader sync.WaitGroup
		reader.Go(func() {
			time.Sleep(time.Second)
			if _, err := io.CopyN(io.Discard, b, 1<<20); err != nil {
				t.Error(err)
			}
		})
		until(t, a.SetWriteDeadline, time.Hour)
		send(t, a, "there is room again")
		reader.Wait()
	})
}

func TestCloseAcrossACutIsNotNoticed(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipenet.Network, a, b net.Conn) {
		n.Partition([]string{"a"}, []string{"b"})
		a.Close()
		send(t, b, "into the void")
		n.HealAll()
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v", err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write: %v", err)
		}
	})
}

func TestReset(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipenet.Network, a, b net.Conn) {
		send(t, a, "lost")
		n.Reset("b", "a")
		for _, c := range []net.Conn{a, b} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("write: %v", err)
			}
		}
	})
}

func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pipenet.New()
		a, _ := dialed(t, n)
		l, err := n.Host("b").Listen("b:1")
		if err != nil {
			t.Fatal(err)
		}
		n.Host("b").Crash()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the other end reads: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
		if _, err := n.Host("a").Dial(t.Context(), "b:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
		if _, err := n.Host("b").Listen("b:1"); err != nil {
			t.Errorf("listen again: %v", err)
		}
	})
}

func TestCrashAcrossACutIsNotNoticed(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipenet.Network, a, b net.Conn) {
		n.Partition([]string{"a"}, []string{"b"})
		n.Host("b").Crash()
		until(t, a.SetReadDeadline, time.Hour)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read at the crashed end: %v", err)
		}
		send(t, a, "unheard")
		n.HealAll()
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after the heal: %v", err)
		}
	})
}

func TestDial(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  func(n *pipenet.Network)
		listen bool
		want   error
		took   time.Duration
	}{
		{"nobody listens", nil, false, syscall.ECONNREFUSED, 0},
		{"far away", func(n *pipenet.Network) {
			n.Delay("a", "b", 20*time.Millisecond)
			n.Delay("b", "a", 5*time.Millisecond)
		}, true, nil, 25 * time.Millisecond},
		{"cut there", func(n *pipenet.Network) { n.Cut("a", "b") }, true, context.DeadlineExceeded, time.Second},
		{"cut back", func(n *pipenet.Network) { n.Cut("b", "a") }, true, context.DeadlineExceeded, time.Second},
		{"cut for a while", func(n *pipenet.Network) {
			n.Cut("a", "b")
			time.AfterFunc(time.Second/2, n.HealAll)
		}, true, nil, time.Second / 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := pipenet.New()
				if test.fault != nil {
					test.fault(n)
				}
				if test.listen {
					if _, err := n.Host("b").Listen("b:1"); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				_, err := n.Host("a").Dial(ctx, "b:1")
				if !errors.Is(err, test.want) || time.Since(start) != test.took {
					t.Errorf("after %v: %v, want %v after %v", time.Since(start), err, test.want, test.took)
				}
			})
		})
	}
}

func TestAddressIsTaken(t *testing.T) {
	n := pipenet.New()
	if _, err := n.Host("a").Listen("a:1"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Host("a").Listen("a:1"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
}

// Readers at both ends that meet nothing must not keep each other awake, or
// virtual time stands still.
func TestReadersWaitWhileBothDirectionsAreSlow(t *testing.T) {
	inBubble(t, func(t *testing.T, n *pipenet.Network, a, b net.Conn) {
		n.Delay("a", "b", time.Second)
		n.Delay("b", "a", time.Second)
		var readers sync.WaitGroup
		for _, c := range []net.Conn{a, b} {
			readers.Go(func() {
				if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
					t.Error(err)
				}
			})
		}
		send(t, a, "hello")
		send(t, b, "hello")
		readers.Wait()
	})
}
