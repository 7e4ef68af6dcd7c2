package peer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// handshakeTimeout bounds the exchange of hellos on both sides.
const handshakeTimeout = 5 * time.Second

// refusal is the class of a hello that was not accepted, a label in metrics.
type refusal string

const (
	refusedGarbage    refusal = "garbage"    // not this protocol; closed without an answer
	refusedIncomplete refusal = "incomplete" // no whole hello in time, or the connection ended
	refusedBusy       refusal = "busy"       // too many unfinished hellos; closed without an answer
	refusedVersion    refusal = "version"    // another protocol version
	refusedKind       refusal = "kind"       // a stream that this node does not serve
	refusedCluster    refusal = "cluster"    // another cluster ID
	refusedNodeID     refusal = "node_id"    // not the node that was dialed, or no ID
	refusedAdmit      refusal = "admit"      // Config.Admit said no
	refusedByRemote   refusal = "by_remote"  // the other side said no
)

// refusals lists all classes, so that metrics show those that never happened.
func refusals() []refusal {
	return []refusal{
		refusedGarbage, refusedIncomplete, refusedBusy, refusedVersion, refusedKind,
		refusedCluster, refusedNodeID, refusedAdmit, refusedByRemote,
	}
}

// handshakeError is a failed exchange of hellos with its class.
type handshakeError struct {
	class refusal
	cause error // a *RefusedError where one side refused
}

func (e *handshakeError) Error() string { return e.cause.Error() }
func (e *handshakeError) Unwrap() error { return e.cause }

// handshake is one exchange of hellos on one connection.
type handshake struct {
	conn  net.Conn
	self  Hello
	admit func(Hello) error
	kind  streamKind
}

// dialed runs the exchange as the side that dialed. want is the node ID that is
// expected, or empty for whoever answers. The Hello is returned whenever the
// other side sent one, also beside an error.
func (h *handshake) dialed(want string) (Hello, error) {
	if err := h.sendHello(greetingHello); err != nil {
		return Hello{}, err
	}
	reply, err := h.receive()
	if err != nil {
		return Hello{}, err
	}
	if reply.typ == greetingRefused {
		return Hello{}, refusedBy(want, reply)
	}
	if reply.version != protocolVersion {
		return Hello{}, h.refuse(refusedVersion, want, versionReason(reply.version))
	}
	if reply.typ != greetingAccepted {
		return Hello{}, outOfOrder(reply)
	}
	remote, err := decodeHello(reply.body)
	if err != nil {
		return Hello{}, &handshakeError{refusedGarbage, err}
	}
	if want != "" && remote.NodeID != want {
		return remote, h.refuse(refusedNodeID, remote.NodeID,
			fmt.Sprintf("the node at this address is %s, but %s was expected", remote.NodeID, want))
	}
	if err := h.judge(remote); err != nil {
		return remote, err
	}
	return remote, h.send(greeting{version: protocolVersion, typ: greetingConfirmed, kind: h.kind})
}

// accepted runs the exchange as the side that was dialed. serves says whether
// streams of a kind are wanted.
func (h *handshake) accepted(serves func(streamKind) bool) (Hello, error) {
	first, err := h.receive()
	if err != nil {
		return Hello{}, err
	}
	h.kind = first.kind
	switch {
	case first.version != protocolVersion:
		return Hello{}, h.refuse(refusedVersion, "", versionReason(first.version))
	case first.typ != greetingHello:
		return Hello{}, outOfOrder(first)
	}
	remote, err := decodeHello(first.body)
	if err != nil {
		return Hello{}, &handshakeError{refusedGarbage, err}
	}
	if !serves(h.kind) {
		return remote, h.refuse(refusedKind, remote.NodeID,
			fmt.Sprintf("streams of kind %d (%s) are not served here", h.kind, h.kind))
	}
	if err := h.judge(remote); err != nil {
		return remote, err
	}
	if err := h.sendHello(greetingAccepted); err != nil {
		return remote, err
	}
	return remote, h.awaitConfirmation(remote)
}

func (h *handshake) awaitConfirmation(remote Hello) error {
	last, err := h.receive()
	switch {
	case err != nil:
		return err
	case last.typ == greetingRefused:
		return refusedBy(remote.NodeID, last)
	case last.typ != greetingConfirmed || last.kind != h.kind || len(last.body) != 0:
		return outOfOrder(last)
	}
	return nil
}

// judge decides about the remote node, and tells it when the answer is no.
func (h *handshake) judge(remote Hello) error {
	switch {
	case remote.NodeID == "":
		return h.refuse(refusedNodeID, "", "the hello carries no node ID")
	case h.self.ClusterID != "" && remote.ClusterID != "" && h.self.ClusterID != remote.ClusterID:
		return h.refuse(refusedCluster, remote.NodeID, fmt.Sprintf(
			"%s belongs to cluster %s and %s to cluster %s; check the peer addresses, or start the node with an empty data directory",
			h.self.NodeID, h.self.ClusterID, remote.NodeID, remote.ClusterID))
	case h.admit == nil:
		return nil
	}
	if err := h.admit(remote); err != nil {
		return h.refuse(refusedAdmit, remote.NodeID, err.Error())
	}
	return nil
}

// refuse tells the other side the reason, if it still listens, and returns it.
func (h *handshake) refuse(class refusal, nodeID, reason string) error {
	// A failure to send changes nothing: the connection is given up either way.
	_ = h.send(greeting{version: protocolVersion, typ: greetingRefused, kind: h.kind, body: encodeReason(reason)})
	return &handshakeError{class, &RefusedError{NodeID: nodeID, Reason: reason}}
}

func (h *handshake) sendHello(typ greetingType) error {
	body, err := h.self.appendTo(nil)
	if err != nil {
		return err
	}
	return h.send(greeting{version: protocolVersion, typ: typ, kind: h.kind, body: body})
}

func (h *handshake) send(g greeting) error {
	data, err := g.encode()
	if err != nil {
		return err
	}
	if _, err := h.conn.Write(data); err != nil {
		return &handshakeError{refusedIncomplete, err}
	}
	return nil
}

func (h *handshake) receive() (greeting, error) {
	g, err := readGreeting(h.conn)
	switch {
	case err == nil:
		return g, nil
	case errors.Is(err, errGarbage):
		return g, &handshakeError{refusedGarbage, err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return g, &handshakeError{refusedIncomplete, fmt.Errorf("the connection ended before a whole hello: %w", err)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return g, &handshakeError{refusedIncomplete, fmt.Errorf("no whole hello in time: %w", err)}
	}
	return g, &handshakeError{refusedIncomplete, err}
}

func refusedBy(nodeID string, g greeting) error {
	reason, err := decodeReason(g.body)
	if err != nil {
		return &handshakeError{refusedGarbage, err}
	}
	return &handshakeError{refusedByRemote, &RefusedError{NodeID: nodeID, ByRemote: true, Reason: reason}}
}

func outOfOrder(g greeting) error {
	return &handshakeError{refusedGarbage, fmt.Errorf("%w: message of type %d and kind %d out of order", errGarbage, g.typ, g.kind)}
}

func versionReason(remote uint16) string {
	return fmt.Sprintf("the two nodes speak different peer protocols, %d and %d; run the same release on both", remote, protocolVersion)
}
