package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// etcdCluster is three members of etcd, with its defaults.
type etcdCluster struct {
	*processes
	clientPorts, peerPorts []int
}

func newEtcd(dir string) *etcdCluster {
	return &etcdCluster{processes: newProcesses(filepath.Join(dir, "etcd"))}
}

func (e *etcdCluster) start(ctx context.Context) error {
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	e.clientPorts, e.peerPorts = ports[:3], ports[3:]
	for number := range 3 {
		if err := e.startNode(number, "new"); err != nil {
			return err
		}
	}
	return await(ctx, "etcd", func() error {
		_, err := e.leader()
		return err
	})
}

func (e *etcdCluster) startNode(number int, state string) error {
	members := make([]string, 3)
	for i := range members {
		members[i] = fmt.Sprintf("%s=http://127.0.0.1:%d", nodeName(i), e.peerPorts[i])
	}
	client, peer := e.clientURL(number), fmt.Sprintf("http://127.0.0.1:%d", e.peerPorts[number])
	return e.processes.start(nodeName(number), "etcd", "--name", nodeName(number), "--data-dir", filepath.Join(e.dir, nodeName(number)),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", state, "--log-level", "error")
}

func (e *etcdCluster) clientURL(number int) string {
	return fmt.Sprintf("http://127.0.0.1:%d", e.clientPorts[number])
}

// leader returns the number of the member that leads.
func (e *etcdCluster) leader() (int, error) {
	for number := range e.clientPorts {
		var status struct {
			Header struct {
				MemberID string `json:"member_id"`
			} `json:"header"`
			Leader string `json:"leader"`
		}
		if err := call("POST", e.clientURL(number)+"/v3/maintenance/status", "{}", &status); err != nil {
			continue // it does not run
		}
		if status.Leader != "" && status.Leader == status.Header.MemberID {
			return number, nil
		}
	}
	return 0, errors.New("no leader yet")
}

// load is an HTTP load on the leader.
func (e *etcdCluster) load(ctx context.Context, load Load) (Sample, error) {
	leader, err := e.leader()
	if err != nil {
		return Sample{}, err
	}
	load.Addr = host(e.clientURL(leader))
	return load.Run(ctx)
}

func etcdPut() func(worker, i int) []byte {
	return prepared(groups, func(i int) []byte {
		return post("/v3/kv/put", fmt.Sprintf(`{"key":"%s","value":"%s"}`, base64.StdEncoding.EncodeToString([]byte(groupName(i))), base64.StdEncoding.EncodeToString([]byte("12345"))))
	})
}

func etcdRange() func(worker, i int) []byte {
	return prepared(groups, func(i int) []byte {
		return post("/v3/kv/range", fmt.Sprintf(`{"key":"%s"}`, base64.StdEncoding.EncodeToString([]byte(groupName(i)))))
	})
}

// grpcConnections is how many connections the gRPC clients share, as in the
// table of etcd's own benchmark documentation.
const grpcConnections = 16

// grpc runs do in a closed loop of workers over gRPC to the leader.
func (e *etcdCluster) grpc(ctx context.Context, workers int, do func(ctx context.Context, client *clientv3.Client, worker, i int) error) (Sample, error) {
	leader, err := e.leader()
	if err != nil {
		return Sample{}, err
	}
	clients := make([]*clientv3.Client, min(workers, grpcConnections))
	for i := range clients {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{e.clientURL(leader)}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
		if err != nil {
			return Sample{}, err
		}
		defer func() { _ = client.Close() }()
		clients[i] = client
	}
	// What is under way when the time is over ends by itself, as over HTTP.
	calls, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*answerTimeout)
	defer cancel()
	counts := make([]count, workers)
	began := time.Now()
	var group sync.WaitGroup
	for worker := range counts {
		group.Go(func() {
			c := &counts[worker]
			c.latencies = newHistogram()
			for i := 0; ctx.Err() == nil; i++ {
				sent := time.Now()
				if err := do(calls, clients[worker%len(clients)], worker, i); err != nil {
					c.failed++
					continue
				}
				_ = c.latencies.RecordValue(max(1, time.Since(sent).Microseconds()))
			}
		})
	}
	group.Wait()
	return summarize(counts, 1, time.Since(began))
}

func grpcPut(ctx context.Context, client *clientv3.Client, worker, i int) error {
	_, err := client.Put(ctx, groupName((worker*7919+i)%groups), "12345")
	return err
}

// grpcIncrease adds one by compare-and-swap until it succeeds, which is how one
// counts in etcd.
func grpcIncrease(keys int) func(ctx context.Context, client *clientv3.Client, worker, i int) error {
	return func(ctx context.Context, client *clientv3.Client, worker, i int) error {
		key := "counter:" + groupName((worker*7919+i)%keys)
		current, err := client.Get(ctx, key)
		if err != nil {
			return err
		}
		kvs := current.Kvs
		for {
			value, revision := 0, int64(0)
			if len(kvs) > 0 {
				if value, err = strconv.Atoi(string(kvs[0].Value)); err != nil {
					return err
				}
				revision = kvs[0].ModRevision
			}
			answer, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
				Then(clientv3.OpPut(key, strconv.Itoa(value+1))).Else(clientv3.OpGet(key)).Commit()
			if err != nil || answer.Succeeded {
				return err
			}
			kvs = answer.Responses[0].GetResponseRange().Kvs
		}
	}
}

func (e *etcdCluster) leads() (int, error) { return e.leader() }

func (e *etcdCluster) write(ctx context.Context, number int) error {
	request, err := http.NewRequest(http.MethodPost, e.clientURL(number)+"/v3/kv/put", strings.NewReader(`{"key":"ZmFpbG92ZXI=","value":"MQ=="}`))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return attempt(ctx, http.DefaultClient, request)
}

func (e *etcdCluster) killNode(number int) { e.kill(nodeName(number)) }

func (e *etcdCluster) restart(ctx context.Context, number int) error {
	if err := e.startNode(number, "existing"); err != nil {
		return err
	}
	return await(ctx, "etcd", func() error {
		return call(http.MethodGet, e.clientURL(number)+"/health", "", nil)
	})
}
