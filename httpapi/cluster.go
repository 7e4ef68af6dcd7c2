package httpapi

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"

	"tally/counter"
)

// nodeIDBytesMax is the longest node ID, and the longest peer address, that is passed on.
const nodeIDBytesMax = 255

// The calls on the cluster.

func (c *call) readCluster() *counter.Error {
	ctx, cancel := c.context()
	defer cancel()
	return c.replyCluster(c.handler.config.Backend.Cluster(ctx))
}

func (c *call) addMember() *counter.Error {
	member, err := c.decodeMember()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	return c.replyCluster(c.handler.config.Backend.AddMember(ctx, member))
}

func (c *call) removeMember() *counter.Error {
	if err := checkNodeID(c.id); err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	return c.replyCluster(c.handler.config.Backend.RemoveMember(ctx, c.id))
}

func (c *call) transferLeadership() *counter.Error {
	id, err := c.decodeLeader()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	return c.replyCluster(c.handler.config.Backend.TransferLeadership(ctx, id))
}

// replyCluster sends what the backend knows of the cluster. It is asked for
// rarely, so reflection may encode it.
func (c *call) replyCluster(cluster counter.Cluster, err error) *counter.Error {
	if err != nil {
		return c.asError(err)
	}
	if cluster.Members == nil {
		cluster.Members = []counter.Member{}
	}
	out := bytes.NewBuffer(c.out)
	encoder := json.NewEncoder(out) // ends with a newline
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(cluster); err != nil {
		return c.asError(err)
	}
	c.out = out.Bytes()
	return c.replyJSON()
}

// decodeMember reads {"id": "n4", "peerAddr": "10.0.0.4:9101", "voter": true}; a
// member is a voter unless it says otherwise.
func (c *call) decodeMember() (counter.NewMember, *counter.Error) {
	member := counter.NewMember{Voter: true}
	err := c.decodeObject(func(name []byte) (err *counter.Error) {
		switch string(name) {
		case "id":
			member.ID, err = c.word("id")
		case "peerAddr":
			member.PeerAddr, err = c.word("peerAddr")
		case "voter":
			member.Voter, err = c.truth("voter")
		default:
			err = unknownField(name, "id", "peerAddr", "voter")
		}
		return err
	})
	if err != nil {
		return member, err
	}
	if err := checkNodeID(member.ID); err != nil {
		return member, err
	}
	return member, checkPeerAddr(member.PeerAddr)
}

// decodeLeader reads {"id": "n2"}; no body at all means any other voter.
func (c *call) decodeLeader() (string, *counter.Error) {
	if c.body.Len() == 0 {
		return "", nil
	}
	var id string
	err := c.decodeObject(func(name []byte) (err *counter.Error) {
		if string(name) != "id" {
			return unknownField(name, "id")
		}
		id, err = c.word("id")
		return err
	})
	if err != nil {
		return "", err
	}
	return id, checkNodeID(id)
}

func checkNodeID(id string) *counter.Error {
	if id == "" || len(id) > nodeIDBytesMax || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return counter.Errorf(counter.InvalidRequest, "a node ID has 1 to %d bytes of UTF-8 without control characters, such as \"n2\"", nodeIDBytesMax).WithParam("id")
	}
	return nil
}

func checkPeerAddr(addr string) *counter.Error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || !isDigits(port) || len(addr) > nodeIDBytesMax || strings.ContainsFunc(addr, unicode.IsControl) {
		return counter.Errorf(counter.InvalidRequest, "%s is not a peer address; give the host and the port at which the other nodes reach it, such as \"10.0.0.4:9101\"", shorten(addr)).WithParam("peerAddr")
	}
	return nil
}
