package peer_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"tally/peer"
	"tally/peer/pipenet"
)

// TestConnectionsToOldAddressesAreClosed: where a node gets another address each
// time it starts, what was open to the old ones would stay open for good: nobody
// reads from an idle connection, so nobody hears that it has ended.
func TestConnectionsToOldAddressesAreClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &cluster{t: t, network: pipenet.New(), ports: map[string]*peer.Port{}}
		defer c.close()
		registry, where := prometheus.NewRegistry(), &homes{}
		n1 := c.open("n1", func(config *peer.Config) { config.Registerer, config.Resolve = registry, where.get }).Transport()
		for start := range 5 {
			host := fmt.Sprint("host", start)
			where.set("n2", host+":1")
			n2 := c.open("n2", func(config *peer.Config) {
				config.Network, config.ListenAddr = c.network.Host(host), host+":1"
			})
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				for range 3 {
					rpc := <-n2.Transport().Consumer()
					rpc.Respond(&raft.AppendEntriesResponse{}, nil)
				}
			}()
			for range 3 {
				if err := n1.AppendEntries("n2", "n2:9101", &raft.AppendEntriesRequest{RPCHeader: header("n1"), Term: 7}, &raft.AppendEntriesResponse{}); err != nil {
					t.Fatal(err)
				}
			}
			<-answered
			if got := metric(t, registry, "tally_peer_connections", "entries"); got != 1 {
				t.Errorf("%v connections for entries at the address number %d, want 1", got, start+1)
			}
			end(t, n2)
		}
	})
}
