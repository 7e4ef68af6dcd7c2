// Command load puts a closed loop of requests on a running cluster and prints
// rates, latencies and, because a busy cluster must not change its leader, the
// terms before and after.
//
//	scripts/cluster.sh up
//	go run ./bench/load --connections 64 --time 30s
//
// It sends to loopback addresses only.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type options struct {
	endpoints   []string
	work        string
	connections int
	groups      int
	batch       int
	duration    time.Duration
	json        bool

	runs int

	filled *atomic.Int64 // groups that a request for filling has been made of
}

func main() {
	var o options
	endpoints := flag.String("endpoints", "http://127.0.0.1:8101,http://127.0.0.1:8102,http://127.0.0.1:8103", "nodes of the cluster, comma-separated")
	target := flag.String("target", "leader", "where requests go: leader, follower, or all")
	flag.StringVar(&o.work, "work", "increase", "what is asked: increase, read, stale, batch, or fill (set 20 counters in each group, once)")
	flag.IntVar(&o.connections, "connections", 64, "requests under way at once, each on its own connection")
	flag.IntVar(&o.groups, "groups", 1000, "groups that the requests are spread over")
	flag.IntVar(&o.batch, "batch", 100, "operations of one batch, also of fill")
	flag.DurationVar(&o.duration, "time", 10*time.Second, "how long at most")
	flag.IntVar(&o.runs, "runs", 1, "how often; with more than one the last line is the run with the median rate, and the spread")
	flag.BoolVar(&o.json, "json", false, "print one JSON object")
	flag.Parse()
	o.endpoints = strings.Split(*endpoints, ",")
	o.filled = new(atomic.Int64)
	if err := run(o, *target); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// report is what a run has measured. Latencies are of successful requests.
type report struct {
	Work        string        `json:"work"`
	Target      string        `json:"target"`
	Connections int           `json:"connections"`
	Seconds     float64       `json:"seconds"`
	Succeeded   int           `json:"succeeded"`
	Failed      int           `json:"failed"`
	PerSecond   float64       `json:"perSecond"`
	P50         time.Duration `json:"p50Ns"`
	P99         time.Duration `json:"p99Ns"`
	Max         time.Duration `json:"maxNs"`
	TermBefore  uint64        `json:"termBefore"`
	TermAfter   uint64        `json:"termAfter"`
	// Nodes is what each node has used, by ID.
	Nodes map[string]usage `json:"nodes"`
}

// usage of one node.
type usage struct {
	Leader        bool    `json:"leader"`
	ResidentBytes float64 `json:"residentBytes"` // after the run
	CPUSeconds    float64 `json:"cpuSeconds"`    // during the run, user and system
}

func run(o options, target string) error {
	if o.runs < 1 {
		return errors.New("--runs must be at least 1")
	}
	for _, endpoint := range o.endpoints {
		if err := checkLoopback(endpoint); err != nil {
			return err
		}
	}
	var reports []report
	for range o.runs {
		r, err := once(o, target)
		if err != nil {
			return err
		}
		r.Target = target
		if err := r.print(o.json); err != nil {
			return err
		}
		reports = append(reports, r)
	}
	if o.runs == 1 || o.json {
		return nil
	}
	slices.SortFunc(reports, func(a, b report) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
	middle := reports[len(reports)/2]
	_, err := fmt.Printf("median %s; %.0f to %.0f/s\n\n", middle.line(), reports[0].PerSecond, reports[len(reports)-1].PerSecond)
	return err
}

func once(o options, target string) (report, error) {
	before, err := clusterOf(o.endpoints)
	if err != nil {
		return report{}, err
	}
	targets, err := pick(before, target)
	if err != nil {
		return report{}, err
	}
	used, err := usages(before)
	if err != nil {
		return report{}, err
	}
	r := measure(o, targets)
	after, err := clusterOf(o.endpoints)
	if err != nil {
		return report{}, err
	}
	r.TermBefore, r.TermAfter = before.Term, after.Term
	if r.Nodes, err = usages(after); err != nil {
		return report{}, err
	}
	for id, u := range r.Nodes {
		u.CPUSeconds -= used[id].CPUSeconds
		u.Leader = id == after.Leader.ID
		r.Nodes[id] = u
	}
	return r, nil
}

func (r report) print(asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	_, err := fmt.Println(r.line())
	return err
}

func (r report) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s, %d connections, %.0f s: %.0f/s, p50 %v, p99 %v, max %v; %d failed; term %d before, %d after",
		r.Work, r.Target, r.Connections, r.Seconds, r.PerSecond, r.P50.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond),
		r.Max.Round(10*time.Microsecond), r.Failed, r.TermBefore, r.TermAfter)
	for _, id := range slices.Sorted(maps.Keys(r.Nodes)) {
		u, name := r.Nodes[id], id
		if u.Leader {
			name += " (leader)"
		}
		fmt.Fprintf(&b, "; %s: %.0f µs of processor a request, %.0f MB", name, u.CPUSeconds/float64(max(r.Succeeded, 1))*1e6, u.ResidentBytes/1e6)
	}
	return b.String()
}

// checkLoopback refuses to put load on anything but this machine.
func checkLoopback(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback()) {
		return fmt.Errorf("%s is not a loopback address", endpoint)
	}
	return nil
}

type cluster struct {
	Term    uint64
	Leader  struct{ ID, URL string }
	Members []struct{ ID, URL string }
}

// clusterOf asks the nodes in turn until one knows the leader.
func clusterOf(endpoints []string) (cluster, error) {
	var failure error = errors.New("no endpoint")
	for _, endpoint := range endpoints {
		response, err := http.Get(endpoint + "/v1/cluster")
		if err != nil {
			failure = err
			continue
		}
		var c cluster
		err = json.NewDecoder(response.Body).Decode(&c)
		_ = response.Body.Close()
		if err == nil && c.Leader.URL != "" {
			return c, nil
		}
		failure = fmt.Errorf("%s knows no leader (%v)", endpoint, err)
	}
	return cluster{}, failure
}

// usages asks the members' metrics.
func usages(c cluster) (map[string]usage, error) {
	all := make(map[string]usage)
	for _, member := range c.Members {
		u, err := usageOf(member.URL)
		if err != nil {
			return nil, err
		}
		all[member.ID] = u
	}
	return all, nil
}

func usageOf(url string) (u usage, err error) {
	response, err := http.Get(url + "/metrics")
	if err != nil {
		return u, err
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "process_resident_memory_bytes":
			u.ResidentBytes, err = strconv.ParseFloat(value, 64)
		case "process_cpu_seconds_total":
			u.CPUSeconds, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return u, err
		}
	}
	return u, lines.Err()
}

func pick(c cluster, target string) ([]string, error) {
	var targets []string
	for _, member := range c.Members {
		leads := member.ID == c.Leader.ID
		if target == "all" || (target == "leader") == leads {
			targets = append(targets, member.URL)
		}
	}
	if target == "follower" && len(targets) > 1 {
		targets = targets[:1]
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("the cluster has no %s", target)
	}
	return targets, nil
}

// measure runs the closed loop: each connection sends its next request when the
// last one is answered.
func measure(o options, targets []string) report {
	ctx, cancel := context.WithTimeout(context.Background(), o.duration)
	defer cancel()
	latencies := make([][]time.Duration, o.connections)
	failed := make([]int, o.connections)
	start := time.Now()
	var workers sync.WaitGroup
	for worker := range o.connections {
		workers.Go(func() {
			latencies[worker], failed[worker] = work(ctx, o, targets[worker%len(targets)], worker)
		})
	}
	workers.Wait()
	elapsed := time.Since(start)

	all := slices.Concat(latencies...)
	slices.Sort(all)
	r := report{Work: o.work, Connections: o.connections, Seconds: elapsed.Seconds(), Succeeded: len(all)}
	for _, f := range failed {
		r.Failed += f
	}
	r.PerSecond = float64(len(all)) / elapsed.Seconds()
	if len(all) > 0 {
		r.P50, r.P99, r.Max = all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
	}
	return r
}

func work(ctx context.Context, o options, target string, worker int) (latencies []time.Duration, failed int) {
	client := &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 1,
	}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for i := 0; ctx.Err() == nil; i++ {
		request := requestFor(o, target, worker, i)
		if request == nil {
			break
		}
		start := time.Now()
		if err := send(client, request); err != nil {
			failed++
			continue
		}
		latencies = append(latencies, time.Since(start))
	}
	return latencies, failed
}

// requestFor returns the next request of a worker, nil if all is done.
func requestFor(o options, target string, worker, i int) *http.Request {
	group := fmt.Sprintf("group:%07d", (worker*7919+i)%o.groups)
	method, path, body := http.MethodPost, "/v1/groups/"+group+"/counters/likes/increase", ""
	switch o.work {
	case "read":
		method, path = http.MethodGet, "/v1/groups/"+group+"/counters"
	case "stale":
		method, path = http.MethodGet, "/v1/groups/"+group+"/counters?consistency=stale"
	case "batch":
		path, body = "/v1/batch", batch(o.batch, func(j int) string {
			return fmt.Sprintf(`{"op":"increase","group":"group:%07d","counters":{"likes":1}}`, (worker*7919+i*o.batch+j)%o.groups)
		})
	case "fill":
		end := int(o.filled.Add(int64(o.batch)))
		first := end - o.batch
		if first >= o.groups {
			return nil
		}
		path, body = "/v1/batch", batch(min(end, o.groups)-first, func(j int) string {
			return fmt.Sprintf(`{"op":"set","group":"group:%07d","counters":{%s}}`, first+j, twenty(first+j))
		})
	}
	request, err := http.NewRequest(method, target+path, strings.NewReader(body))
	if err != nil {
		panic(err) // the URL is made of constants and a checked endpoint
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request
}

func batch(operations int, operation func(int) string) string {
	all := make([]string, operations)
	for i := range all {
		all[i] = operation(i)
	}
	return `{"operations":[` + strings.Join(all, ",") + `]}`
}

// twenty is as many counters as a group may have, with values below 10,000.
func twenty(group int) string {
	counters := make([]string, 20)
	for i := range counters {
		counters[i] = fmt.Sprintf(`"counter%02d":%d`, i+1, (group*20+i)*7919%10_000)
	}
	return strings.Join(counters, ",")
}

func send(client *http.Client, request *http.Request) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
