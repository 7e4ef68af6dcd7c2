package client

import (
	"context"
	"net/http"
	"net/url"

	"tally/counter"
)

// Cluster returns what the node that answers, and the members it can reach, know
// of the cluster.
func (c *Client) Cluster(ctx context.Context) (counter.Cluster, error) {
	return c.cluster(ctx, &request{method: http.MethodGet, path: "/v1/cluster"})
}

// AddMember makes a running node a member, or changes its address or suffrage,
// and returns the cluster as it is then.
//
// Changes of the cluster carry no idempotency key. So one that may have been made
// is not repeated: it ends as counter.OutcomeUnknown, and Cluster tells.
func (c *Client) AddMember(ctx context.Context, member counter.NewMember) (counter.Cluster, error) {
	if err := checkNode(member.ID); err != nil {
		return counter.Cluster{}, err
	}
	body := appendString([]byte(`{"id":`), member.ID)
	body = appendString(append(body, `,"peerAddr":`...), member.PeerAddr)
	if !member.Voter {
		body = append(body, `,"voter":false`...)
	}
	return c.cluster(ctx, &request{method: http.MethodPost, path: "/v1/cluster/members", body: append(body, '}'), changes: true})
}

// RemoveMember removes a member and returns the cluster as it is then. It is not
// repeated when it may have been made: see [Client.AddMember].
func (c *Client) RemoveMember(ctx context.Context, id string) (counter.Cluster, error) {
	if err := checkNode(id); err != nil {
		return counter.Cluster{}, err
	}
	return c.cluster(ctx, &request{method: http.MethodDelete, path: "/v1/cluster/members/" + url.PathEscape(id), changes: true})
}

// TransferLeadership makes the member the leader, or any other voter if id is
// "", and returns the cluster as it is then. It is not repeated when it may have
// been made: see [Client.AddMember].
func (c *Client) TransferLeadership(ctx context.Context, id string) (counter.Cluster, error) {
	r := &request{method: http.MethodPost, path: "/v1/cluster/leader", changes: true}
	if id != "" {
		if err := checkNode(id); err != nil {
			return counter.Cluster{}, err
		}
		r.body = append(appendString([]byte(`{"id":`), id), '}')
	}
	return c.cluster(ctx, r)
}

// cluster carries out a request whose reply is the cluster, and learns from it.
func (c *Client) cluster(ctx context.Context, r *request) (cluster counter.Cluster, err error) {
	r.decode = func(r *reply) (err error) {
		cluster, err = decodeCluster(r.body)
		return err
	}
	if err = c.do(ctx, r); err == nil && c.config.discovery {
		c.endpoints.learn(cluster)
	}
	return cluster, err
}

// checkNode refuses what cannot be a node's ID, "." and ".." among them, which
// would change the path.
func checkNode(id string) error {
	if err := counter.CheckNodeID(id); err != nil {
		return invalid(err)
	}
	if id == "." || id == ".." {
		return invalid(counter.Errorf(counter.InvalidRequest, "%q is not a node ID", id).WithParam("id"))
	}
	return nil
}
