package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Away from scripts/cluster.sh and scripts/failover.sh, and below the ports
// that the connections come from.
const (
	httpPort = 27101
	peerPort = 27201
)

// cluster is where the load goes.
type cluster struct {
	script string
	dir    string // of a cluster that was started here, else empty
	leader string // base URLs
	node   string // the node with the watchers
	term   uint64 // at the beginning
}

// openCluster starts a cluster, or finds the one that was named.
func openCluster(ctx context.Context, o options) (*cluster, error) {
	c := &cluster{script: o.script}
	if err := c.open(ctx, o); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *cluster) open(ctx context.Context, o options) (err error) {
	endpoints := o.endpoints
	if len(endpoints) == 0 {
		if c.dir, err = os.MkdirTemp("", "tally-watch-"); err != nil {
			return err
		}
		if err = c.call(ctx, "up"); err != nil {
			return err
		}
		endpoints = []string{fmt.Sprintf("http://127.0.0.1:%d", httpPort)}
	}
	for _, endpoint := range endpoints {
		if err = c.find(ctx, endpoint, o.node); err == nil {
			return nil
		}
	}
	return err
}

// close removes what was started.
func (c *cluster) close() error {
	if c.dir == "" {
		return nil
	}
	// Not the context of the run, which may have ended.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(c.call(ctx, "clean"), os.RemoveAll(c.dir))
}

func (c *cluster) call(ctx context.Context, command string) error {
	cmd := exec.CommandContext(ctx, c.script, command)
	// With an interrupt the script ends what it has started.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), "TALLY_CLUSTER_DIR="+c.dir+"/cluster",
		fmt.Sprint("TALLY_HTTP_PORT=", httpPort), fmt.Sprint("TALLY_PEER_PORT=", peerPort))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", c.script, command, err, out)
	}
	return nil
}

// view is what a node says of the cluster.
type view struct {
	Term    uint64
	Leader  struct{ ID, URL string }
	Members []struct{ ID, URL string }
}

func viewOf(ctx context.Context, base string) (v view, err error) {
	err = get(ctx, base+"/v1/cluster", func(r *bufio.Reader) error { return json.NewDecoder(r).Decode(&v) })
	return v, err
}

// find asks a node who leads, and chooses the node with the watchers.
func (c *cluster) find(ctx context.Context, endpoint, node string) error {
	if err := checkLoopback(endpoint); err != nil {
		return err
	}
	v, err := viewOf(ctx, endpoint)
	if err != nil {
		return err
	}
	for _, member := range v.Members {
		if (member.ID == v.Leader.ID) == (node == "leader") {
			c.leader, c.node, c.term = v.Leader.URL, member.URL, v.Term
			return errors.Join(checkLoopback(c.leader), checkLoopback(c.node))
		}
	}
	return fmt.Errorf("%s knows no %s", endpoint, node)
}

// elections is how many terms have begun since the beginning. On a machine that
// is not overloaded it is none.
func (c *cluster) elections(ctx context.Context) (uint64, error) {
	v, err := viewOf(ctx, c.node)
	return v.Term - c.term, err
}

// checkLoopback refuses to put load on anything but this machine.
func checkLoopback(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	if at, err := netip.ParseAddrPort(u.Host); err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("%s is not a loopback address with a port", endpoint)
	}
	return nil
}

// usage is what a node has used of the machine.
type usage struct {
	residentBytes float64
	cpuSeconds    float64
}

// usage asks the node with the watchers.
func (c *cluster) usage(ctx context.Context) (u usage, err error) {
	err = get(ctx, c.node+"/metrics", func(r *bufio.Reader) error {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), " ")
			switch name {
			case "process_resident_memory_bytes":
				u.residentBytes, _ = strconv.ParseFloat(value, 64)
			case "process_cpu_seconds_total":
				u.cpuSeconds, _ = strconv.ParseFloat(value, 64)
			}
		}
		return lines.Err()
	})
	if err == nil && (u.residentBytes == 0 || u.cpuSeconds == 0) {
		err = errors.New("/metrics says nothing of memory and processor time")
	}
	return u, err
}

func get(ctx context.Context, url string, read func(*bufio.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", url, response.StatusCode)
	}
	return read(bufio.NewReader(response.Body))
}
