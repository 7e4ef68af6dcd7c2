package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
)

// groups is how many groups, keys or hashes the work is spread over.
const groups = 1000

// tallyCluster is three nodes of Tally.
type tallyCluster struct {
	*processes
	tallyd   string // the program
	logStore string
	flags    []string // further ones

	httpPorts, peerPorts []int
}

func newTally(tallyd, dir, logStore string, flags ...string) *tallyCluster {
	return &tallyCluster{processes: newProcesses(filepath.Join(dir, "tally-"+logStore)), tallyd: tallyd, logStore: logStore, flags: flags}
}

func (t *tallyCluster) start(ctx context.Context) error {
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	t.httpPorts, t.peerPorts = ports[:3], ports[3:]
	for number := range 3 {
		if err := t.startNode(number); err != nil {
			return err
		}
	}
	return await(ctx, "tally", func() error {
		_, _, err := t.leader()
		return err
	})
}

func nodeName(number int) string { return fmt.Sprintf("n%d", number+1) }

func (t *tallyCluster) startNode(number int) error {
	members := make([]string, 3)
	for i := range members {
		members[i] = fmt.Sprintf("%s=127.0.0.1:%d", nodeName(i), t.peerPorts[i])
	}
	name := nodeName(number)
	return t.processes.start(name, t.tallyd, append([]string{
		"--node-id", name, "--data-dir", filepath.Join(t.dir, name),
		"--http-addr", fmt.Sprintf("127.0.0.1:%d", t.httpPorts[number]),
		"--peer-addr", fmt.Sprintf("127.0.0.1:%d", t.peerPorts[number]),
		"--initial-cluster", strings.Join(members, ","),
		"--log-store", t.logStore, "--log-level", "warn",
	}, t.flags...)...)
}

// leader returns the HTTP address of the leader and of one follower.
func (t *tallyCluster) leader() (leader, follower string, err error) {
	var cluster struct {
		Leader  struct{ ID, URL string }
		Members []struct {
			ID, URL   string
			Reachable bool
		}
	}
	for _, port := range t.httpPorts {
		err = call("GET", fmt.Sprintf("http://127.0.0.1:%d/v1/cluster", port), "", &cluster)
		if err == nil && cluster.Leader.URL != "" {
			break
		}
	}
	if err != nil {
		return "", "", err
	}
	for _, member := range cluster.Members {
		switch {
		case member.ID == cluster.Leader.ID:
			leader = host(member.URL)
		case member.Reachable:
			follower = host(member.URL)
		}
	}
	if leader == "" || follower == "" {
		return "", "", errors.New("no leader yet")
	}
	return leader, follower, nil
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// load is a load on the leader, or on a follower.
func (t *tallyCluster) load(ctx context.Context, atFollower bool, load Load) (Sample, error) {
	leader, follower, err := t.leader()
	if err != nil {
		return Sample{}, err
	}
	load.Addr = leader
	if atFollower {
		load.Addr = follower
	}
	return load.Run(ctx)
}

func groupName(i int) string { return fmt.Sprintf("group:%07d", i) }

// tallyIncrease increases one counter of each of n groups.
func tallyIncrease(n int) func(worker, i int) []byte {
	return prepared(n, func(i int) []byte {
		return post("/v1/groups/"+groupName(i)+"/counters/likes/increase", "")
	})
}

func tallyRead(query string) func(worker, i int) []byte {
	return prepared(groups, func(i int) []byte { return get("/v1/groups/" + groupName(i) + "/counters" + query) })
}

const batchOperations = 100

func tallyBatch() func(worker, i int) []byte {
	return prepared(groups/batchOperations, func(i int) []byte {
		operations := make([]string, batchOperations)
		for j := range operations {
			operations[j] = fmt.Sprintf(`{"op":"increase","group":"%s","counters":{"likes":1}}`, groupName(i*batchOperations+j))
		}
		return post("/v1/batch", `{"operations":[`+strings.Join(operations, ",")+`]}`)
	})
}

func (t *tallyCluster) leads() (int, error) {
	leader, _, err := t.leader()
	if err != nil {
		return 0, err
	}
	for number, port := range t.httpPorts {
		if leader == fmt.Sprintf("127.0.0.1:%d", port) {
			return number, nil
		}
	}
	return 0, fmt.Errorf("%s is no node", leader)
}

func (t *tallyCluster) write(ctx context.Context, number int) error {
	request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/v1/groups/failover/counters/n/increase", t.httpPorts[number]), nil)
	if err != nil {
		return err
	}
	return attempt(ctx, http.DefaultClient, request)
}

func (t *tallyCluster) killNode(number int) { t.kill(nodeName(number)) }

func (t *tallyCluster) restart(ctx context.Context, number int) error {
	if err := t.startNode(number); err != nil {
		return err
	}
	return t.awaitReady(ctx, 0, 1, 2)
}
