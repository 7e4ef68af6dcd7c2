package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"tally/counter"
)

// problem is an error as nodes send it (RFC 9457). Fields that are of no use to
// a program are left out.
type problem struct {
	Code         counter.Code    `json:"code"`
	Detail       string          `json:"detail"`
	Definite     bool            `json:"definite"`
	Param        string          `json:"param"`
	Operation    *int            `json:"operation"`
	Revision     uint64          `json:"revision"`
	ServerTimeMs int64           `json:"serverTimeMs"`
	Leader       *counter.Leader `json:"leader"`
}

// decodeProblem reads an error and whether it says that this attempt changed nothing.
func decodeProblem(header http.Header, body []byte) (_ *counter.Error, definite bool, _ error) {
	var p problem
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, false, err
	}
	if p.Code == "" {
		return nil, false, errors.New("it has no code")
	}
	return &counter.Error{
		Code: p.Code, Detail: p.Detail, Param: p.Param, Operation: p.Operation,
		Revision: p.Revision, ServerTimeMs: p.ServerTimeMs, Leader: p.Leader,
		RetryAfter: retryAfter(header),
		Replayed:   header.Get("Idempotent-Replayed") == "true",
	}, p.Definite, nil
}

// retryAfterMax is the longest wait that is taken from a reply: what is longer
// is no advice, and would overflow.
const retryAfterMax = time.Hour

// retryAfter reads Retry-After in seconds, the form that nodes send (RFC 9110,
// 10.2.3). Anything else counts as absent.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, retryAfterMax)
}

// invalid is a call that is refused before it is sent.
func invalid(err *counter.Error) error {
	return fmt.Errorf("client: %w", err)
}
