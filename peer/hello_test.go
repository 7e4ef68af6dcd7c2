package peer_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"tally/peer"
)

// rawHello is a whole message as hello.go draws it, built by hand.
func rawHello(version uint16, typ, kind byte, body string) string {
	data := binary.BigEndian.AppendUint16([]byte("TLYp"), version)
	data = append(data, typ, kind)
	data = binary.BigEndian.AppendUint16(data, uint16(len(body)))
	data = append(data, body...)
	return string(binary.BigEndian.AppendUint32(data, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))))
}

func rawBody(h peer.Hello) string {
	var body []byte
	for _, s := range []string{h.NodeID, h.Incarnation, h.ClusterID, h.PeerAddr, h.HTTPURL} {
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(s))), s...)
	}
	return string(append(body, h.CommandVersion))
}

const (
	rawRaft, rawCalls = 1, 2
	rawTypeHello      = 1
	rawTypeAccepted   = 2
	rawTypeRefused    = 3
)

// aHeartbeat begins with the number of AppendEntries, as a stranger that speaks
// only the library's protocol would.
const aHeartbeat = "\x00\x8bRPCHeader"

func TestStrangersGetNoFurtherThanTheHello(t *testing.T) {
	whole := rawHello(1, rawTypeHello, rawRaft, rawBody(helloOf("n9")))
	otherCluster := helloOf("n9")
	otherCluster.ClusterID = "c2"
	for _, test := range []struct {
		name   string
		send   string
		reason string // of the refusal that comes back; empty: not a byte does
		class  string // in metrics
	}{
		{"nothing at all", "", "", "incomplete"},
		{"an HTTP request", "GET /v1/cluster HTTP/1.1\r\nHost: n2:9101\r\n\r\n", "", "garbage"},
		{"a Raft message", aHeartbeat + strings.Repeat("\x00", 64), "", "garbage"},
		{"half a hello", whole[:len(whole)/2], "", "incomplete"},
		{"a hello with one bit changed", strings.Replace(whole, "n9", "n8", 1), "", "garbage"},
		{"a hello that says it is too large", "TLYp\x00\x01\x01\x01\xff\xff", "", "garbage"},
		{"a hello that is cut inside", rawHello(1, rawTypeHello, rawRaft, rawBody(helloOf("n9"))[:10]), "", "garbage"},
		{"a hello with more behind", rawHello(1, rawTypeHello, rawRaft, rawBody(helloOf("n9"))+"x"), "", "garbage"},
		{"a confirmation first", rawHello(1, 4, rawRaft, ""), "", "garbage"},
		{"a newer version", rawHello(2, rawTypeHello, rawRaft, "whatever it says"), "different peer protocols, 2 and 1", "version"},
		{"a stream of an unknown kind", rawHello(1, rawTypeHello, 9, rawBody(helloOf("n9"))), "kind 9", "kind"},
		{"a hello without a node ID", rawHello(1, rawTypeHello, rawRaft, rawBody(peer.Hello{})), "no node ID", "node_id"},
		{"another cluster", rawHello(1, rawTypeHello, rawRaft, rawBody(otherCluster)), "belongs to cluster c1", "cluster"},
		{"a refused node", rawHello(1, rawTypeHello, rawRaft, rawBody(helloOf("banned"))), "banned: remove it", "admit"},
		{"a hello and a Raft message at once", whole + aHeartbeat, "accepted", "garbage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCluster(t)
				registry := prometheus.NewRegistry()
				port := c.open("n2", func(config *peer.Config) {
					config.Registerer = registry
					config.Admit = func(h peer.Hello) error {
						if h.NodeID == "banned" {
							return errors.New("banned: remove it and join under a new ID")
						}
						return nil
					}
				})
				defer c.close()
				requests := countRaftRequests(port.Transport())

				conn, err := c.network.Host("stranger").Dial(t.Context(), addressOf("n2"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, test.send); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				reply, err := io.ReadAll(conn)
				if time.Since(start) > 6*time.Second || isTimeout(err) {
					t.Errorf("the connection is still open after %v: %v", time.Since(start), err)
				}
				checkReply(t, string(reply), test.reason)
				synctest.Wait()
				if n := requests(); n != 0 {
					t.Errorf("%d requests reached Raft", n)
				}
				if _, ok := port.Known("n9"); ok {
					t.Error("the port remembers a node it did not accept")
				}
				if got := metric(t, registry, "tally_peer_handshakes_refused_total", "in", test.class); got != 1 {
					t.Errorf("%v refused for %s, want 1", got, test.class)
				}
			})
		})
	}
}

func checkReply(t *testing.T, reply, reason string) {
	t.Helper()
	switch {
	case reason == "":
		if reply != "" {
			t.Errorf("reply %q, want none", reply)
		}
	case reason == "accepted":
		if len(reply) < 8 || reply[6] != rawTypeAccepted {
			t.Errorf("reply %q, want a hello", reply)
		}
	case len(reply) < 8 || reply[6] != rawTypeRefused || !strings.Contains(reply, reason):
		t.Errorf("reply %q, want a refusal because of %q", reply, reason)
	}
}

// countRaftRequests counts what arrives at Raft. The counting ends with the
// transport's bubble.
func countRaftRequests(transport raft.Transport) func() int {
	n := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-transport.Consumer():
				n++
			case <-time.After(time.Minute):
				return
			}
		}
	}()
	return func() int {
		<-done
		return n
	}
}

func readUntil(t *testing.T, conn net.Conn, deadline time.Time) {
	t.Helper()
	if err := conn.SetReadDeadline(deadline); err != nil {
		t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

func metric(t *testing.T, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var values []string
			for _, pair := range m.GetLabel() {
				values = append(values, pair.GetValue())
			}
			if fmt.Sprint(values) == fmt.Sprint(labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s%v", name, labels)
	return 0
}

// TestRefusedOnBothSides: whichever side has the objection, both learn of it.
func TestRefusedOnBothSides(t *testing.T) {
	objection := func(h peer.Hello) error {
		return fmt.Errorf("%s comes with another data directory; join it under a new ID", h.NodeID)
	}
	otherCluster := func(id string) func() peer.Hello {
		return func() peer.Hello {
			h := helloOf(id)
			h.ClusterID = "c2"
			return h
		}
	}
	for _, test := range []struct {
		name     string
		n1, n2   func(*peer.Config) // n1 calls n2
		byRemote bool
		reason   string
	}{
		{"the caller is not admitted", nil, func(c *peer.Config) { c.Admit = objection }, true, "n1 comes with another data directory"},
		{"the called is not admitted", func(c *peer.Config) { c.Admit = objection }, nil, false, "n2 comes with another data directory"},
		{"clusters differ", nil, func(c *peer.Config) { c.Self = otherCluster("n2") }, true, "n2 belongs to cluster c2 and n1 to cluster c1"},
		{"another node lives there", nil, func(c *peer.Config) {
			c.Self = func() peer.Hello { return helloOf("n7") }
		}, false, "the node at this address is n7, but n2 was expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCluster(t)
				defer c.close()
				registry := prometheus.NewRegistry()
				n1 := c.open("n1", test.n1)
				n2 := c.open("n2", func(config *peer.Config) {
					config.Registerer = registry
					if test.n2 != nil {
						test.n2(config)
					}
				})
				_, err := n1.Call(within(time.Second), "n2", methodEcho, nil)
				var refused *peer.RefusedError
				if !errors.As(err, &refused) || refused.ByRemote != test.byRemote || !strings.Contains(refused.Reason, test.reason) {
					t.Errorf("error %v", err)
				}
				if !errors.Is(err, peer.ErrNotSent) {
					t.Errorf("%v is not definite", err)
				}
				synctest.Wait()
				if got := sum(t, registry, "tally_peer_handshakes_refused_total"); got != 1 {
					t.Errorf("n2 counts %v refused connections, want 1", got)
				}
				if _, ok := n2.Known("n1"); ok {
					t.Error("n2 remembers n1")
				}
				if _, ok := n1.Known("n2"); ok {
					t.Error("n1 remembers n2")
				}
			})
		})
	}
}

func sum(t *testing.T, registry *prometheus.Registry, name string) (total float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func TestClusterIDThatIsNotKnownYetIsNoObjection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1")
		c.open("n2", func(config *peer.Config) {
			config.Self = func() peer.Hello { h := helloOf("n2"); h.ClusterID = ""; return h }
		})
		defer c.close()
		for _, call := range [][2]string{{"n1", "n2"}, {"n2", "n1"}} {
			if _, err := c.ports[call[0]].Call(within(time.Second), call[1], methodEcho, nil); err != nil {
				t.Errorf("%v: %v", call, err)
			}
		}
	})
}

// TestCrowdWithoutHellosDoesNotShutOutOthers: connections that say nothing take
// the places of their own host only, and give them back.
func TestCrowdWithoutHellosDoesNotShutOutOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		crowd := c.network.Host("crowd")
		var open []net.Conn
		for range 100 {
			conn, err := crowd.Dial(t.Context(), addressOf("n2"))
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, conn)
		}
		synctest.Wait()
		closed := 0
		for _, conn := range open {
			readUntil(t, conn, time.Now().Add(time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); !isTimeout(err) {
				closed++
			}
		}
		if closed != 36 {
			t.Errorf("%d of 100 were closed at once, want all but 64", closed)
		}
		if _, err := c.ports["n1"].Call(within(time.Second), "n2", methodEcho, nil); err != nil {
			t.Errorf("n1 is shut out: %v", err)
		}
		time.Sleep(6 * time.Second)
		if _, err := c.ports["n1"].Call(within(time.Second), "n2", methodEcho, nil); err != nil {
			t.Error(err)
		}
		for _, conn := range open {
			readUntil(t, conn, time.Time{})
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("a connection without a hello is open: %v", err)
			}
			conn.Close()
		}
	})
}
