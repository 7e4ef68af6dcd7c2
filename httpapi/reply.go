package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"tally/counter"
)

// writeTimeout is how long a caller may take to accept a reply.
const writeTimeout = 10 * time.Second

// The values of headers that all replies share. They are never changed: the
// server only reads them.
var (
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
	streamType  = []string{"text/event-stream"}
	textType    = []string{"text/plain; charset=utf-8"}
	yamlType    = []string{"application/yaml"}
	noStore     = []string{"no-store"} // a cached count is a wrong count
)

func (c *call) replyJSON() *counter.Error { return c.reply(http.StatusOK, jsonType) }

// replyText ends the text with a newline and sends it.
func (c *call) replyText(status int) *counter.Error {
	c.out = append(c.out, '\n')
	return c.reply(status, textType)
}

// reply sends what was appended to c.out in one write. It returns nil: a caller
// who is gone cannot be told.
func (c *call) reply(status int, contentType []string) *counter.Error {
	header := c.w.Header()
	header["Cache-Control"] = noStore
	if contentType != nil {
		header["Content-Type"] = contentType
		header["Content-Length"] = []string{strconv.Itoa(len(c.out))}
	}
	c.status = status
	c.boundWrite()
	c.w.WriteHeader(status)
	if len(c.out) > 0 && c.r.Method != http.MethodHead {
		_, _ = c.w.Write(c.out)
	}
	return nil
}

// boundWrite keeps a caller who does not read from holding the connection for
// ever. Not every ResponseWriter has deadlines; those that do not are in memory.
func (c *call) boundWrite() {
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(writeTimeout))
}
