package httpapi

import (
	"errors"
	"io"
	"os"

	"tally/counter"
)

// readBody reads the body into memory, up to the route's limit, and checks that
// there is one exactly where the route takes one.
func (c *call) readBody() *counter.Error {
	if err := c.fillBody(); err != nil {
		return err
	}
	switch {
	case c.body.Len() == 0 && (c.route.body == noBody || c.route.body == optionalBody):
		return nil
	case c.body.Len() == 0:
		return counter.Errorf(counter.InvalidRequest, "the body is missing; send a JSON object")
	case c.route.body == noBody:
		return counter.Errorf(counter.InvalidRequest, "this request takes no body; leave it out")
	case c.route.body == untypedBody:
		return nil
	}
	return checkContentType(c.r.Header)
}

func (c *call) fillBody() *counter.Error {
	limit := c.handler.config.BodyBytesMax
	if c.route.body == batchBody {
		limit = c.handler.config.BatchBytesMax
	}
	switch {
	case c.r.ContentLength == 0 || c.r.Body == nil:
		return nil
	case c.r.ContentLength > limit:
		return tooLarge(limit)
	}
	// One byte more than is allowed tells a body that is too long from one that
	// just fits; only bodies of unknown length can be too long here.
	c.bodyLimit = io.LimitedReader{R: c.r.Body, N: limit + 1}
	if _, err := c.body.ReadFrom(&c.bodyLimit); err != nil {
		return incomplete(err)
	}
	if int64(c.body.Len()) > limit {
		return tooLarge(limit)
	}
	return nil
}

func tooLarge(limit int64) *counter.Error {
	return counter.Errorf(counter.BodyTooLarge, "the body has more than %d bytes; send less at once", limit)
}

// incomplete says why a body could not be read to its end.
func incomplete(err error) *counter.Error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return counter.Errorf(counter.InvalidRequest, "the body is shorter than its Content-Length says; send all of it")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return counter.Errorf(counter.InvalidRequest, "the body took too long to arrive; send it at once")
	}
	return counter.Errorf(counter.InvalidRequest, "the body could not be read; send it again")
}
