package demo

import (
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// echo serves on the network and returns where.
func echo(t *testing.T, n *network) string {
	t.Helper()
	listener, err := n.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// answers tells whether what is sent comes back within the time.
func answers(t *testing.T, conn net.Conn, within time.Duration) bool {
	t.Helper()
	if _, err := conn.Write([]byte("x")); err != nil {
		return false
	}
	return hears(t, conn, within)
}

func hears(t *testing.T, conn net.Conn, within time.Duration) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err == nil
}

func TestPausedTrafficGoesOnLater(t *testing.T) {
	defer goleak.VerifyNone(t)
	n := newNetwork()
	defer n.Cut()
	addr := echo(t, n)
	before := dial(t, addr)
	if !answers(t, before, 5*time.Second) {
		t.Fatal("no answer before the pause")
	}
	n.Pause()
	meanwhile := dial(t, addr) // the system accepts it; the node does not hear of its bytes
	for _, conn := range []net.Conn{before, meanwhile} {
		if answers(t, conn, 50*time.Millisecond) {
			t.Fatal("an answer from a paused node")
		}
	}
	n.Resume()
	for _, conn := range []net.Conn{before, meanwhile} {
		if !hears(t, conn, 5*time.Second) {
			t.Fatal("what was sent during the pause was lost")
		}
		if !answers(t, conn, 5*time.Second) {
			t.Fatal("no answer after the pause")
		}
	}
	_ = before.Close()
	_ = meanwhile.Close()
}

func TestCutBreaksWhatIsOpenAndPaused(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, paused := range []bool{false, true} {
		n := newNetwork()
		addr := echo(t, n)
		conn := dial(t, addr)
		if !answers(t, conn, 5*time.Second) {
			t.Fatal("no answer")
		}
		if paused {
			n.Pause()
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		n.Cut()
		if hears(t, conn, 5*time.Second) {
			t.Error("a cut connection speaks")
		}
		_ = conn.Close()
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Error("a cut listener accepts")
		}
		if _, err := n.Listen("127.0.0.1:0"); err == nil {
			t.Error("a cut network listens")
		}
		if _, err := n.Dial(t.Context(), addr); err == nil {
			t.Error("a cut network dials")
		}
	}
}
