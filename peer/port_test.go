package peer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"tally/peer"
	"tally/peer/pipenet"
)

const (
	methodEcho  peer.Method = 1 // replies with its payload
	methodNever peer.Method = 2 // no reply
)

// cluster is a few ports on one network in memory.
type cluster struct {
	t       *testing.T
	network *pipenet.Network
	ports   map[string]*peer.Port
}

func newCluster(t *testing.T, ids ...string) *cluster {
	c := &cluster{t: t, network: pipenet.New(), ports: map[string]*peer.Port{}}
	for _, id := range ids {
		c.open(id, nil)
	}
	return c
}

func addressOf(id string) string { return id + ":9101" }

func helloOf(id string) peer.Hello {
	return peer.Hello{
		NodeID: id, Incarnation: "inc-" + id, ClusterID: "c1",
		PeerAddr: addressOf(id), HTTPURL: "http://" + id + ":8101", CommandVersion: 1,
	}
}

func (c *cluster) config(id string) peer.Config {
	return peer.Config{
		Network:    c.network.Host(id),
		ListenAddr: addressOf(id),
		Self:       func() peer.Hello { return helloOf(id) },
		Resolve:    func(nodeID string) (string, bool) { return addressOf(nodeID), true },
		Logger:     hclog.NewNullLogger(),
	}
}

// open starts a port with handlers. change may alter its configuration.
func (c *cluster) open(id string, change func(*peer.Config)) *peer.Port {
	c.t.Helper()
	config := c.config(id)
	if change != nil {
		change(&config)
	}
	port, err := peer.Open(config)
	if err != nil {
		c.t.Fatal(err)
	}
	port.Handle(methodEcho, func(call *peer.Call) { call.Reply(call.Payload) })
	port.Handle(methodNever, func(*peer.Call) {})
	port.Serve()
	c.ports[id] = port
	return port
}

func (c *cluster) close() {
	for _, port := range c.ports {
		end(c.t, port)
	}
}

// inBubble runs a test in virtual time. The bubble itself fails if a goroutine
// is left when the ports are closed.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// end closes a port in the middle of a test.
func end(t *testing.T, port *peer.Port) {
	t.Helper()
	if err := port.Close(); err != nil {
		t.Error(err)
	}
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func TestCallReturnsTheReply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		for i := range 3 {
			want := fmt.Sprint("payload ", i)
			got, err := c.ports["n1"].Call(within(time.Second), "n2", methodEcho, []byte(want))
			if err != nil || string(got) != want {
				t.Fatalf("reply %q, error %v", got, err)
			}
		}
		if hello, ok := c.ports["n2"].Known("n1"); !ok || hello != helloOf("n1") {
			t.Errorf("n2 knows %+v of n1", hello)
		}
		if hello, ok := c.ports["n1"].Known("n2"); !ok || hello != helloOf("n2") {
			t.Errorf("n1 knows %+v of n2", hello)
		}
	})
}

func TestCallAddrTellsWhoAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		reply, from, err := c.ports["n1"].CallAddr(within(time.Second), addressOf("n2"), methodEcho, []byte("hi"))
		if err != nil || string(reply) != "hi" || from != helloOf("n2") {
			t.Fatalf("reply %q from %+v, error %v", reply, from, err)
		}
	})
}

func TestUnknownMethodIsDefinite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		_, err := c.ports["n1"].Call(within(time.Second), "n2", 77, nil)
		if !errors.Is(err, peer.ErrUnknownMethod) || !peer.Definite(err) {
			t.Fatalf("error %v", err)
		}
	})
}
