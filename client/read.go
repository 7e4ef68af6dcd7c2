package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"tally/counter"
)

// Get reads counters of a group, all of them if no key is named, as of now: the
// reading has everything that was acknowledged before the call. Keys that do
// not exist are absent; a group without counters reads as empty.
func (c *Client) Get(ctx context.Context, group string, keys ...string) (counter.Reading, error) {
	return c.get(ctx, group, keys, false)
}

// GetStale reads what one node has, at once: it may lag behind, and two calls
// may go back in time when they meet two nodes. The reading says its revision.
func (c *Client) GetStale(ctx context.Context, group string, keys ...string) (counter.Reading, error) {
	return c.get(ctx, group, keys, true)
}

// queryBytesMax is the longest query that is sent. Nodes and proxies refuse long
// headers, and a group has few counters: rather than so many keys, all are read.
const queryBytesMax = 4 << 10

func (c *Client) get(ctx context.Context, group string, keys []string, stale bool) (counter.Reading, error) {
	if err := checkNames(group, keys); err != nil {
		return counter.Reading{}, err
	}
	query := url.Values{}
	if stale {
		query.Set("consistency", "stale")
	}
	if len(keys) > 0 {
		query["key"] = slices.Compact(slices.Sorted(slices.Values(keys)))
		if len(query.Encode()) > queryBytesMax || len(query["key"]) > counter.DeleteKeysMax {
			delete(query, "key")
		}
	}
	var reading counter.Reading
	err := c.do(ctx, &request{method: http.MethodGet, path: groupPath(group, "counters", query), decode: func(r *reply) (err error) {
		reading, err = decodeReading(r.body, group)
		return err
	}})
	if len(keys) > 0 {
		reading.Counters = slices.DeleteFunc(reading.Counters, func(one counter.Counter) bool { return !slices.Contains(keys, one.Key) })
	}
	return reading, err
}

// groupPath is the path of something of a group.
func groupPath(group, what string, query url.Values) string {
	path := "/v1/groups/" + url.PathEscape(group) + "/" + what
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func checkNames(group string, keys []string) error {
	if err := counter.CheckGroup(group); err != nil {
		return invalid(err.WithParam("group"))
	}
	for _, key := range keys {
		if err := counter.CheckKey(key); err != nil {
			return invalid(err.WithParam("key"))
		}
	}
	return nil
}

// groupsLimit is how many groups are asked for at once.
const groupsLimit = 1000

// Groups lists the groups whose IDs begin with prefix, in the order of the bytes
// of their IDs. A group that comes or goes while the listing goes on may or may
// not be listed. An error is the last thing it yields.
func (c *Client) Groups(ctx context.Context, prefix string) iter.Seq2[counter.GroupSummary, error] {
	return func(yield func(counter.GroupSummary, error) bool) {
		next := ""
		for {
			page, following, err := c.groups(ctx, prefix, next)
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
			if err != nil {
				yield(counter.GroupSummary{}, err)
			}
			if err != nil || following == "" {
				return
			}
			next = following
		}
	}
}

// groups returns one page of the listing and where the next begins.
func (c *Client) groups(ctx context.Context, prefix, cursor string) (page []counter.GroupSummary, next string, err error) {
	query := url.Values{"limit": {strconv.Itoa(groupsLimit)}}
	if prefix != "" {
		query.Set("prefix", prefix)
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	err = c.do(ctx, &request{method: http.MethodGet, path: "/v1/groups?" + query.Encode(), decode: func(r *reply) (err error) {
		page, next, err = decodeGroups(r.body)
		if err == nil && next != "" && len(page) == 0 {
			err = fmt.Errorf("it lists nothing and says that there is more")
		}
		return err
	}})
	return page, next, err
}
