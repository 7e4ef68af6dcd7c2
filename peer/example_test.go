package peer_test

import (
	"context"
	"errors"
	"fmt"

	"tally/peer"
	"tally/peer/pipenet"
)

// Two nodes on a network in memory; n1 calls n2.
func Example() {
	const methodGreet peer.Method = 1
	network := pipenet.New()
	open := func(id string) *peer.Port {
		port, err := peer.Open(peer.Config{
			Network:    network.Host(id),
			ListenAddr: id + ":9101",
			Self:       func() peer.Hello { return peer.Hello{NodeID: id, PeerAddr: id + ":9101"} },
			Resolve:    func(nodeID string) (string, bool) { return nodeID + ":9101", true },
		})
		if err != nil {
			panic(err)
		}
		port.Handle(methodGreet, func(call *peer.Call) {
			call.Reply(fmt.Appendf(nil, "hello %s, this is %s", call.From.NodeID, id))
		})
		port.Serve()
		return port
	}
	n1, n2 := open("n1"), open("n2")
	defer func() {
		if err := errors.Join(n1.Close(), n2.Close()); err != nil {
			panic(err)
		}
	}()

	reply, err := n1.Call(context.Background(), "n2", methodGreet, nil)
	fmt.Printf("%s, error %v\n", reply, err)

	_, err = n1.Call(context.Background(), "n3", methodGreet, nil)
	fmt.Println("nothing happened at n3:", peer.Definite(err))
	// Output:
	// hello n1, this is n2, error <nil>
	// nothing happened at n3: true
}
