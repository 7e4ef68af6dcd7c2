package httpapi

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"tally/counter"
	"tally/identity"
)

// The server API of the original, for programs that were written for it: its
// paths, bodies and error codes, over the same calls of the backend as
// everything else. A reply has status 200 whatever it says. docs/original-api.md
// tells what is the same and what is not.

// The original's error codes that no code of package counter has: see its own
// table for 10002, 10004, 10007, 10015 and 10063.
const (
	originalBadHTTP        = 60002 // the request as such, but for its JSON
	originalBadJSON        = 60003
	originalBadAccount     = 60004 // identifier or usersig
	originalBadAppID       = 60006
	originalTooOften       = 60007
	originalUnknownOutcome = 60008 // in the original: a time-out. The one code that does not say that nothing happened
	originalNoAdmin        = 60010
	originalNoAppID        = 60012
)

// authenticateOriginal knows a caller by its UserSig or, where none is asked
// for, as every other. Then identifier names who is not named otherwise.
func (c *call) authenticateOriginal() (identity.Principal, error) {
	parameters, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return identity.Principal{}, counter.Errorf(counter.InvalidRequest, "the query cannot be read; encode it as application/x-www-form-urlencoded")
	}
	verify := c.handler.config.AuthenticateOriginal
	if verify == nil {
		verify = func(url.Values) (identity.Principal, error) { return c.handler.config.Authenticate(c.r.Header) }
	}
	principal, err := verify(parameters)
	if err != nil || principal.User != "" {
		return principal, err
	}
	principal.User = parameters.Get("identifier")
	if err := counter.CheckUser(principal.User); err != nil {
		return principal, err.WithParam("identifier")
	}
	return principal, nil
}

// originalBody is what the bodies of all three commands can hold.
type originalBody struct {
	group    string
	counters []counter.Counter
	keys     []string // nil if they are not given
	mode     counter.Kind
}

func (c *call) originalUpdate() *counter.Error {
	body, err := c.decodeOriginal("GroupId", "GroupCounter", "Mode")
	switch {
	case err != nil:
		return err
	case body.counters == nil:
		return missingField("GroupCounter")
	case len(body.counters) == 0:
		return counter.Errorf(counter.InvalidRequest, "\"GroupCounter\" is empty; name at least one counter").WithParam("GroupCounter")
	case body.mode == 0:
		return missingField("Mode")
	}
	operation := counter.Operation{Kind: body.mode, Group: body.group, Counters: body.counters}
	result, err := c.propose(&counter.Mutation{Operations: []counter.Operation{operation}})
	if err != nil {
		return err
	}
	return c.replyOriginal(result.Outcomes[0].Counters)
}

func (c *call) originalGet() *counter.Error {
	body, err := c.decodeOriginal("GroupId", "GroupCounterKeys")
	if err != nil {
		return err
	}
	c.group = body.group
	if len(body.keys) == 0 {
		body.keys = nil // as the original's clients have it: no keys are all keys
	}
	reading, err := c.read(body.keys)
	if err != nil {
		return err
	}
	return c.replyOriginal(inOrder(reading.Counters, body.keys))
}

// inOrder returns the counters in the order of the keys that were asked for.
func inOrder(counters []counter.Counter, keys []string) []counter.Counter {
	place := func(one counter.Counter) int { return slices.Index(keys, one.Key) }
	if keys != nil {
		slices.SortFunc(counters, func(a, b counter.Counter) int { return place(a) - place(b) })
	}
	return counters
}

func (c *call) originalDelete() *counter.Error {
	body, err := c.decodeOriginal("GroupId", "GroupCounterKeys")
	if err != nil {
		return err
	}
	if body.keys != nil && len(body.keys) == 0 {
		// Who computed an empty list did not ask for every counter to be deleted.
		return counter.Errorf(counter.InvalidRequest, "\"GroupCounterKeys\" is empty; name at least one key, or leave the field out to delete all counters").WithParam("GroupCounterKeys")
	}
	operation := counter.Operation{Kind: counter.Delete, Group: body.group, Keys: body.keys, All: body.keys == nil}
	if _, err := c.propose(&counter.Mutation{Operations: []counter.Operation{operation}}); err != nil {
		return err
	}
	return c.replyOriginal(nil)
}

// decodeOriginal reads a body that has some of the known fields, and must have
// the group.
func (c *call) decodeOriginal(known ...string) (body originalBody, err *counter.Error) {
	if err := c.checkOriginalJSON(); err != nil {
		return body, err
	}
	groupGiven := false
	err = c.decodeObject(func(name []byte) (err *counter.Error) {
		field := string(name)
		if !slices.Contains(known, field) {
			return unknownField(name, known...)
		}
		switch field {
		case "GroupId":
			groupGiven = true
			body.group, err = c.word(field)
		case "GroupCounter":
			body.counters, err = c.originalCounters()
		case "GroupCounterKeys":
			body.keys, err = c.originalKeys()
		case "Mode":
			body.mode, err = c.originalMode()
		}
		return err
	})
	if err == nil && !groupGiven {
		err = missingField("GroupId")
	}
	return body, err
}

// jsonParam is the parameter of an error that is about the JSON itself.
const jsonParam = "body"

// checkOriginalJSON tells a body that is no JSON from one that says something
// wrong: the original has a code for each.
func (c *call) checkOriginalJSON() *counter.Error {
	decoder := jsontext.NewDecoder(bytes.NewReader(c.body.Bytes()))
	_, err := decoder.ReadValue()
	if problem := syntaxError(err); problem != nil {
		return problem.WithParam(jsonParam)
	}
	return nil
}

// originalCounters reads [{"Key": "like", "Value": 5}, ...].
func (c *call) originalCounters() ([]counter.Counter, *counter.Error) {
	list := []counter.Counter{}
	err := c.elements("GroupCounter", func(int) *counter.Error {
		one, err := c.originalCounter()
		list = append(list, one)
		return err
	})
	return list, err
}

func (c *call) originalCounter() (one counter.Counter, err *counter.Error) {
	keyGiven, valueGiven := false, false
	err = c.members("GroupCounter", "a counter", func(name []byte) (err *counter.Error) {
		switch string(name) {
		case "Key":
			keyGiven = true
			one.Key, err = c.word("Key")
		case "Value":
			valueGiven = true
			if one.Value, err = c.number(); err != nil && err.Code == counter.InvalidValue {
				err.Param = "Value"
			}
		default:
			err = unknownField(name, "Key", "Value")
		}
		return err
	})
	switch {
	case err != nil:
		return one, err
	case !keyGiven:
		return one, missingField("Key")
	case !valueGiven:
		return one, missingField("Value")
	}
	return one, nil
}

// originalKeys reads ["like", "unlike"].
func (c *call) originalKeys() ([]string, *counter.Error) {
	const param = "GroupCounterKeys"
	keys := []string{}
	err := c.elements(param, func(int) *counter.Error {
		key, err := c.word(param)
		if err != nil {
			return err
		}
		if keys, err = appendKey(keys, key); err != nil {
			return err.WithParam(param)
		}
		return nil
	})
	return keys, err
}

func (c *call) originalMode() (counter.Kind, *counter.Error) {
	word, err := c.word("Mode")
	if err != nil {
		return 0, err
	}
	switch word {
	case "Set":
		return counter.Set, nil
	case "Increase":
		return counter.Increase, nil
	case "Decrease":
		return counter.Decrease, nil
	}
	return 0, counter.Errorf(counter.InvalidRequest, "unknown mode %s; %s", shorten(word), suggest(word, []string{"Set", "Increase", "Decrease"})).WithParam("Mode")
}

// replyOriginal replies that all went well, with the counters unless they are nil.
func (c *call) replyOriginal(counters []counter.Counter) *counter.Error {
	c.out = appendOriginalStatus(c.out, "OK", "", 0)
	if c.route.name != "originalDelete" {
		c.out = append(c.out, `,"GroupCounter":[`...)
		for i, one := range counters {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			c.out = append(c.out, `{"Key":`...)
			c.out = appendString(c.out, one.Key)
			c.out = append(c.out, `,"Value":`...)
			c.out = strconv.AppendInt(c.out, one.Value, 10)
			c.out = append(c.out, '}')
		}
		c.out = append(c.out, ']')
	}
	c.out = append(c.out, "}\n"...)
	return c.replyJSON()
}

// failOriginal replies with an error as the original would. The metrics count it
// under the status that it has everywhere else: 200 would hide it.
func (c *call) failOriginal(e *counter.Error) {
	c.out = appendOriginalStatus(c.out[:0], "FAIL", e.Error(), c.originalCode(e))
	c.out = append(c.out, "}\n"...)
	_ = c.reply(http.StatusOK, jsonType)
	c.status = e.Code.Info().Status
}

// appendOriginalStatus appends what every reply begins with.
func appendOriginalStatus(out []byte, status, info string, code int) []byte {
	out = append(out, `{"ActionStatus":"`...)
	out = append(out, status...)
	out = append(out, `","ErrorInfo":`...)
	out = appendString(out, info)
	out = append(out, `,"ErrorCode":`...)
	return strconv.AppendInt(out, int64(code), 10)
}

// originalCode returns the original's code that comes nearest.
func (c *call) originalCode(e *counter.Error) int {
	switch e.Code {
	case counter.Unauthenticated:
		return c.originalAccountCode(e.Param)
	case counter.Forbidden:
		if e.Param == "Origin" {
			break // it is not the caller who is refused, but the page
		}
		return originalNoAdmin
	case counter.BodyTooLarge:
		return originalBadHTTP
	case counter.RateLimited:
		return originalTooOften
	case counter.OutcomeUnknown, counter.Internal:
		return originalUnknownOutcome
	case counter.InvalidRequest:
		if e.Param == jsonParam {
			return originalBadJSON
		}
	}
	if code := e.Code.Info().ErrorCode; code != 0 {
		return code
	}
	return counter.InvalidRequest.Info().ErrorCode
}

// originalAccountCode says which of a caller's credentials is wrong.
func (c *call) originalAccountCode(param string) int {
	switch {
	case param != "sdkappid":
		return originalBadAccount
	case c.r.URL.Query().Get("sdkappid") == "":
		return originalNoAppID
	}
	return originalBadAppID
}
