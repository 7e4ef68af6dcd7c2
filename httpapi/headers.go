package httpapi

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"tally/counter"
)

// decodeHeaders reads the headers that change what a request means. A header of
// these that the route does not heed is refused, because whoever sent it relies
// on it; but for an idempotency key of a read, which promises nothing that a read
// does not keep.
func (c *call) decodeHeaders() *counter.Error {
	if err := c.decodeCondition(); err != nil {
		return err
	}
	return c.decodeIdempotencyKey()
}

func (c *call) decodeCondition() *counter.Error {
	match, hasMatch := c.r.Header["If-Match"]
	noneMatch, hasNoneMatch := c.r.Header["If-None-Match"]
	switch {
	case !hasMatch && !hasNoneMatch:
		return nil
	case !c.route.conditional && hasMatch:
		return notConditional().WithParam("If-Match")
	case !c.route.conditional:
		return notConditional().WithParam("If-None-Match")
	case hasMatch && hasNoneMatch:
		return counter.Errorf(counter.InvalidRequest, "If-Match and If-None-Match are both given; give one").WithParam("If-None-Match")
	case hasNoneMatch && (len(noneMatch) != 1 || noneMatch[0] != "*"):
		return counter.Errorf(counter.InvalidRequest, "If-None-Match takes * only: the group must have no counters").WithParam("If-None-Match")
	case hasNoneMatch:
		c.condition = counter.Condition{Checked: true}
		return nil
	}
	revision, ok := parseETag(match)
	if !ok {
		return counter.Errorf(counter.InvalidRequest, "If-Match takes one ETag of this group as it was given, such as \"42\" with its quotation marks").WithParam("If-Match")
	}
	c.condition = counter.Condition{Checked: true, ModRevision: revision}
	return nil
}

func notConditional() *counter.Error {
	return counter.Errorf(counter.InvalidRequest, "only PUT /v1/groups/{group}/counters can be conditional; leave the header out")
}

// parseETag reads the one entity tag of an If-Match header: a revision in
// quotation marks. Weak tags never match in If-Match (RFC 9110, 13.1.1).
func parseETag(lines []string) (revision uint64, ok bool) {
	if len(lines) != 1 {
		return 0, false
	}
	text := strings.TrimSpace(lines[0])
	if len(text) < 3 || text[0] != '"' || text[len(text)-1] != '"' || !isDigits(text[1:len(text)-1]) {
		return 0, false
	}
	revision, err := strconv.ParseUint(text[1:len(text)-1], 10, 64)
	return revision, err == nil
}

// decodeIdempotencyKey reads the key that makes attempts of a mutation count once.
func (c *call) decodeIdempotencyKey() *counter.Error {
	keys, given := c.r.Header["Idempotency-Key"]
	if !given || c.route.class == reads {
		return nil
	}
	if err := c.checkIdempotencyKey(keys); err != nil {
		return err.WithParam("Idempotency-Key")
	}
	c.idempotencyKey = keys[0]
	return nil
}

func (c *call) checkIdempotencyKey(keys []string) *counter.Error {
	switch {
	case c.route.class != mutates:
		return counter.Errorf(counter.InvalidRequest, "only changes of counters take an idempotency key; leave the header out")
	case len(keys) != 1:
		return counter.Errorf(counter.InvalidRequest, "the header is given %d times; give it once", len(keys))
	case keys[0] == "":
		return counter.Errorf(counter.InvalidRequest, "the idempotency key is empty; give it 1 to %d characters", counter.IdempotencyKeyCharactersMax)
	}
	return counter.CheckIdempotencyKey(keys[0])
}

// checkContentType refuses a body that is not said to be plain JSON.
func checkContentType(header http.Header) *counter.Error {
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return counter.Errorf(counter.UnsupportedMediaType, "the body is encoded as %s; send it as it is, without Content-Encoding", shorten(encoding)).WithParam("Content-Encoding")
	}
	contentType := header.Get("Content-Type")
	if contentType == "application/json" {
		return nil
	}
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	charset := parameters["charset"]
	if err != nil || mediaType != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return counter.Errorf(counter.UnsupportedMediaType, "the body is said to be %s; add the header \"Content-Type: application/json\"", shorten(contentType)).WithParam("Content-Type")
	}
	return nil
}

// wantsPlainText says that the caller prefers text/plain to JSON.
func wantsPlainText(header http.Header) bool { return prefers(header, "text/plain") }

// prefers says that the caller prefers the media type to JSON (RFC 9110, 12.5.1).
func prefers(header http.Header, wanted string) bool {
	lines := header["Accept"]
	if len(lines) == 0 || len(lines) == 1 && lines[0] == "*/*" {
		return false
	}
	var other, json, anything float64
	for _, item := range strings.Split(strings.Join(lines, ","), ",") {
		mediaType, parameters, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, err := strconv.ParseFloat(parameters["q"], 64); err == nil {
			quality = q
		}
		switch mediaType {
		case wanted:
			other = quality
		case "application/json":
			json = quality
		case "application/*", "*/*":
			anything = max(anything, quality)
		}
	}
	// Who names the type and adds "whatever else" means the type.
	return other > json && other >= anything
}
