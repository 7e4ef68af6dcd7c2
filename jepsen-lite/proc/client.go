//go:build linux

package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tally/counter"
)

// client asks nodes how they are and administers the cluster. It never repeats a
// request.
type client struct{ http http.Client }

func newClient() *client {
	// No connections are kept: a request must not fail for what was done to the
	// one before it.
	return &client{http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}}
}

func (c *client) do(ctx context.Context, method, url, body string) (status int, reply []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	reply, err = io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return response.StatusCode, reply, err
}

func (c *client) get(ctx context.Context, m *Machine, path string) ([]byte, error) {
	status, reply, err := c.do(ctx, http.MethodGet, m.URL()+path, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", m.Name, status, bytes.TrimSpace(reply))
	}
	return reply, err
}

func (c *client) ready(ctx context.Context, m *Machine) error {
	_, err := c.get(ctx, m, "/readyz?verbose")
	return err
}

func (c *client) view(ctx context.Context, m *Machine) (view counter.Cluster, err error) {
	reply, err := c.get(ctx, m, "/v1/cluster")
	if err != nil {
		return view, err
	}
	return view, json.Unmarshal(reply, &view)
}

// View is the cluster as the node on the machine sees it.
func (m *Machine) View(ctx context.Context) (counter.Cluster, error) {
	return m.cluster.client.view(ctx, m)
}

// Metrics returns the node's metrics; those with labels have them in their names.
func (m *Machine) Metrics(ctx context.Context) (map[string]float64, error) {
	text, err := m.cluster.client.get(ctx, m, "/metrics")
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		var value float64
		name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := fmt.Sscan(rest, &value); err == nil {
			metrics[name] = value
		}
	}
	return metrics, nil
}

// Readiness returns what the node says of its readiness, check by check, whether
// it is ready or not.
func (m *Machine) Readiness(ctx context.Context) (string, error) {
	_, reply, err := m.cluster.client.do(ctx, http.MethodGet, m.URL()+"/readyz?verbose", "")
	return string(reply), err
}

// RemoveNode takes a node out of the cluster, through the node on m.
func (m *Machine) RemoveNode(ctx context.Context, id string) error {
	return m.command(ctx, http.MethodDelete, "/v1/cluster/members/"+id, "")
}

// HandOver asks the leader, through the node on m, to let another node lead.
func (m *Machine) HandOver(ctx context.Context, id string) error {
	return m.command(ctx, http.MethodPost, "/v1/cluster/leader", fmt.Sprintf(`{"id":%q}`, id))
}

func (m *Machine) command(ctx context.Context, method, path, body string) error {
	status, reply, err := m.cluster.client.do(ctx, method, m.URL()+path, body)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%s %s through %s: %d: %s", method, path, m.Name, status, bytes.TrimSpace(reply))
	}
	return err
}
