package clustertest

import (
	"context"
	"errors"
	"net"

	"tally/peer"
	"tally/peer/pipenet"
)

// wire is the network as one process sees it: after the end of its life it can
// neither dial nor listen. Connections that it had by then are the host's to end.
type wire struct {
	host *pipenet.Host
	life context.Context
}

var _ peer.Network = (*wire)(nil)

var errUnplugged = errors.New("clustertest: the process has ended")

// Listen implements peer.Network.
func (w *wire) Listen(addr string) (net.Listener, error) {
	listener, err := w.host.Listen(addr)
	if err == nil && w.life.Err() != nil {
		return nil, errors.Join(errUnplugged, listener.Close())
	}
	return listener, err
}

// Dial implements peer.Network.
func (w *wire) Dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	conn, err := w.host.Dial(ctx, addr)
	if err == nil && w.life.Err() != nil {
		return nil, errors.Join(errUnplugged, conn.Close())
	}
	return conn, err
}
