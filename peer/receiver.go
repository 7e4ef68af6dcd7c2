package peer

import (
	"bufio"
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// receiveBufferBytes is what is read at once of the entries that a node sends.
const receiveBufferBytes = 16 << 10

// receiver is the side of a connection for entries that accepted it: it hands each
// request to Raft, and sends what Raft answers.
type receiver struct {
	conn     *conn
	requests chan<- raft.RPC
	closed   <-chan struct{} // Raft's transport is closed, so nobody answers
}

// serve runs until the connection or the transport ends, and returns why; nil for
// an end that the other side wanted.
func (r *receiver) serve() error {
	reader := entriesReader{buffer: bufio.NewReaderSize(r.conn, receiveBufferBytes)}
	var reply []byte
	for {
		request, err := reader.request()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := r.ask(request)
		if err != nil {
			return err
		}
		reply = appendEntriesReply(reply[:0], answer)
		if _, err := r.conn.Write(reply); err != nil {
			return err
		}
	}
}

// ask waits for Raft's answer.
func (r *receiver) ask(request *raft.AppendEntriesRequest) (raft.RPCResponse, error) {
	answers := make(chan raft.RPCResponse, 1)
	select {
	case r.requests <- raft.RPC{Command: request, RespChan: answers}:
	case <-r.closed:
		return raft.RPCResponse{}, errLayerClosed
	}
	select {
	case answer := <-answers:
		return answer, nil
	case <-r.closed:
		return raft.RPCResponse{}, errLayerClosed
	}
}
