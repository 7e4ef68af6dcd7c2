package httpapi

import (
	"fmt"
	"net/http"

	"tally/counter"
	"tally/docs"
)

// The calls that look at this process.

func (c *call) livez() *counter.Error {
	c.out = append(c.out, "ok"...)
	return c.replyText(http.StatusOK)
}

// readyz replies "ok", or one line for each check that fails; with ?verbose one
// for each check.
func (c *call) readyz() *counter.Error {
	ctx, cancel := c.context()
	defer cancel()
	status := http.StatusOK
	for _, check := range c.handler.config.Backend.Ready(ctx) {
		if !check.OK {
			status = http.StatusServiceUnavailable
		}
		if c.query.verbose || !check.OK {
			c.out = appendCheck(c.out, check)
		}
	}
	switch {
	case status == http.StatusOK:
		c.out = append(c.out, "ok"...)
	default:
		c.out = append(c.out, "not ready"...)
		c.w.Header()["Retry-After"] = []string{"1"}
	}
	return c.replyText(status)
}

func appendCheck(out []byte, check counter.Check) []byte {
	mark := "[+]"
	if !check.OK {
		mark = "[-]"
	}
	out = append(append(out, mark...), check.Name...)
	if check.Detail != "" {
		out = append(append(out, ' '), check.Detail...)
	}
	return append(out, '\n')
}

func (c *call) metrics() *counter.Error {
	c.status = http.StatusOK
	c.boundWrite()
	c.handler.scrape.ServeHTTP(c.w, c.r)
	return nil
}

func (c *call) openapi() *counter.Error {
	c.out = append(c.out, docs.OpenAPI...)
	return c.reply(http.StatusOK, yamlType)
}

// welcome shows what to paste into a terminal.
func (c *call) welcome() *counter.Error {
	config := &c.handler.config
	url := config.ListenURL
	if url == "" {
		url = "http://" + c.r.Host
	}
	c.out = fmt.Appendf(c.out, `# Tally %[1]s, node %[2]s. Paste into a terminal:
curl -X POST %[3]s/v1/groups/room/counters/likes/increase
curl -X PUT %[3]s/v1/groups/room/counters -H 'Content-Type: application/json' -d '{"counters":{"likes":10,"views":100}}'
curl %[3]s/v1/groups/room/counters
curl %[3]s/v1/cluster
curl %[3]s/openapi.yaml`, config.Version, config.NodeID, url)
	return c.replyText(http.StatusOK)
}
