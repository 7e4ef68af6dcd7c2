package peer

import (
	"context"
	"net"
	"time"
)

// Network makes and accepts connections. Connections must keep bytes in order,
// support deadlines, and end all blocked calls when they are closed.
type Network interface {
	Listen(addr string) (net.Listener, error)
	// Dial returns within ctx.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// TCP is the Network of production. Small writes go out at once (TCP_NODELAY,
// Go's default: the port batches by itself), and an idle connection whose other
// end vanished is noticed within half a minute.
type TCP struct{}

var _ Network = TCP{}

// keepAlive finds idle connections to machines that are gone. Calls have pings
// of their own; this is for Raft's pooled connections, which have none.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}
}

// Listen listens on host:port.
func (TCP) Listen(addr string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: keepAlive()}
	return config.Listen(context.Background(), "tcp", addr)
}

// Dial connects to host:port.
func (TCP) Dial(ctx context.Context, addr string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: keepAlive()}
	return dialer.DialContext(ctx, "tcp", addr)
}
