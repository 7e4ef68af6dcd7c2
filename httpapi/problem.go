package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"tally/counter"
	"tally/identity"
)

// problemTypePrefix and the code's word are a problem's type (RFC 9457, 3.1.1).
// It is a URN and no reference to a path, because such a reference would be
// another URI on every node.
const problemTypePrefix = "urn:tally:error:"

// fail replies with an error as application/problem+json, or as the route's callers know it.
func (c *call) fail(e *counter.Error) {
	info := e.Code.Info()
	header := c.w.Header()
	switch info.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		header["Retry-After"] = []string{strconv.FormatInt(retryAfterSeconds(e.RetryAfter), 10)}
	case http.StatusUnauthorized:
		header["Www-Authenticate"] = []string{identity.Challenge(c.r.Header)}
	}
	c.setQuota(e.Quota)
	if e.Replayed {
		header["Idempotent-Replayed"] = []string{"true"}
	}
	if c.route.original {
		c.failOriginal(e)
		return
	}
	c.out = appendProblem(c.out[:0], e, c.definite(info), c.requestID)
	_ = c.reply(info.Status, problemType)
}

// retryAfterSeconds rounds up: to come back a moment too late is better than a
// moment too early.
func retryAfterSeconds(wait time.Duration) int64 {
	return max(1, int64((wait+time.Second-1)/time.Second))
}

// definite says that the attempt changed nothing. What never changes anything
// cannot have done so, whatever went wrong.
func (c *call) definite(info counter.CodeInfo) bool {
	return info.Definite || c.route.class == reads
}

// appendProblem appends the fields that docs/openapi.yaml gives a problem, absent what does not apply.
func appendProblem(out []byte, e *counter.Error, definite bool, requestID string) []byte {
	info := e.Code.Info()
	out = append(out, `{"type":`...)
	out = appendString(out, problemTypePrefix+string(info.Code))
	out = appendStringField(out, "title", info.Title)
	out = append(out, `,"status":`...)
	out = strconv.AppendInt(out, int64(info.Status), 10)
	out = appendStringField(out, "detail", e.Detail)
	out = appendStringField(out, "code", string(info.Code))
	if info.ErrorCode != 0 {
		out = append(out, `,"errorCode":`...)
		out = strconv.AppendInt(out, int64(info.ErrorCode), 10)
	}
	out = append(out, `,"definite":`...)
	out = strconv.AppendBool(out, definite)
	if e.Revision != 0 {
		out = append(out, `,"revision":`...)
		out = strconv.AppendUint(out, e.Revision, 10)
	}
	if e.ServerTimeMs != 0 {
		out = append(out, `,"serverTimeMs":`...)
		out = strconv.AppendInt(out, e.ServerTimeMs, 10)
	}
	if e.Leader != nil {
		out = append(out, `,"leader":{"id":`...)
		out = appendString(out, e.Leader.ID)
		out = appendStringField(out, "url", e.Leader.URL)
		out = append(out, '}')
	}
	out = appendStringField(out, "param", e.Param)
	if e.Operation != nil {
		out = append(out, `,"operation":`...)
		out = strconv.AppendInt(out, int64(*e.Operation), 10)
	}
	out = appendStringField(out, "requestId", requestID)
	return append(out, "}\n"...)
}

// appendStringField appends ,"name":"text", or nothing if text is empty.
func appendStringField(out []byte, name, text string) []byte {
	if text == "" {
		return out
	}
	out = append(out, `,"`...)
	out = append(out, name...)
	out = append(out, `":`...)
	return appendString(out, text)
}
