package client_test

import (
	"context"
	"net"
	"os"
	"time"

	"tally/client"
	"tally/node"
)

// startNode runs a node of its own on free ports of loopback, and returns its
// URL and what ends it.
func startNode() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "tally-client")
	must(err)
	config := node.Default()
	config.DataDir = dir
	config.HTTPAddr = "127.0.0.1:0"
	config.PeerAddr = freeAddr()
	config.Fatal = func(err error) { panic(err) }
	n, err := node.Open(config)
	must(err)
	waitReady(n.HTTPURL())
	return n.HTTPURL(), func() {
		must(n.Close(context.Background()))
		must(os.RemoveAll(dir))
	}
}

// freeAddr returns an address of loopback at which nobody listens just now.
func freeAddr() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer func() { must(listener.Close()) }()
	return listener.Addr().String()
}

// waitReady waits until the node answers linearizable reads, which it does when
// it has a leader.
func waitReady(url string) {
	c, err := client.New([]string{url}, client.WithTimeout(30*time.Second))
	must(err)
	defer func() { must(c.Close()) }()
	_, err = c.Get(context.Background(), "nothing")
	must(err)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
