package main

import (
	"bytes"
	"testing"

	"tally/counter"
)

// TestFormsSayTheSame: values that a float would spoil, and keys that JSON and
// YAML, 1.2 or 1.1 as many readers still have it, would take for something else.
func TestFormsSayTheSame(t *testing.T) {
	reading := counter.Reading{Group: "<g>", Revision: 18446744073709551615, Counters: []counter.Counter{
		{Key: "true", Value: 9223372036854775807}, {Key: "1", Value: -9223372036854775808}, {Key: `"&"`, Value: 0}, {Key: "yes", Value: 1}, {Key: "12:30", Value: 2},
	}}
	for form, want := range map[string]string{
		formJSON: `{
  "group": "<g>",
  "revision": 18446744073709551615,
  "modRevision": 0,
  "counters": {
    "true": 9223372036854775807,
    "1": -9223372036854775808,
    "\"&\"": 0,
    "yes": 1,
    "12:30": 2
  }
}
`,
		formYAML: `group: <g>
revision: 18446744073709551615
modRevision: 0
counters:
  "true": 9223372036854775807
  "1": -9223372036854775808
  '"&"': 0
  "yes": 1
  "12:30": 2
`,
		formPlain: "true\t9223372036854775807\n1\t-9223372036854775808\n\"&\"\t0\nyes\t1\n12:30\t2\n",
		formTable: "KEY    VALUE\ntrue   9223372036854775807\n1      -9223372036854775808\n\"&\"    0\nyes    1\n12:30  2\n",
	} {
		var out bytes.Buffer
		p := &program{Stdout: &out, settings: settings{Output: form}}
		if err := p.print(readingDocument(reading, false)); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		if out.String() != want {
			t.Errorf("%s:\n%s\nwant:\n%s", form, out.String(), want)
		}
	}
}

// TestCheckJudges: what is a warning and what is critical.
func TestCheckJudges(t *testing.T) {
	member := func(id string, change func(*counter.Member)) counter.Member {
		m := counter.Member{ID: id, Voter: true, Reachable: true, CommitIndex: 100, AppliedIndex: 100, StateHash: &counter.StateHash{Index: 100, Hash: "a"}}
		if change != nil {
			change(&m)
		}
		return m
	}
	gone := func(m *counter.Member) { m.Reachable, m.StateHash = false, nil }
	leader := &counter.Leader{ID: "n1"}
	for name, c := range map[string]struct {
		cluster counter.Cluster
		want    int
	}{
		"all well":            {counter.Cluster{Leader: leader, Members: []counter.Member{member("n1", nil), member("n2", nil), member("n3", nil)}}, checkOK},
		"one gone":            {counter.Cluster{Leader: leader, Members: []counter.Member{member("n1", nil), member("n2", nil), member("n3", gone)}}, checkWarning},
		"two gone":            {counter.Cluster{Leader: leader, Members: []counter.Member{member("n1", nil), member("n2", gone), member("n3", gone)}}, checkCritical},
		"no leader":           {counter.Cluster{Members: []counter.Member{member("n1", nil), member("n2", nil), member("n3", nil)}}, checkCritical},
		"a non-voter is gone": {counter.Cluster{Leader: leader, Members: []counter.Member{member("n1", nil), member("n2", func(m *counter.Member) { gone(m); m.Voter = false })}}, checkWarning},
		"behind":              {counter.Cluster{Leader: leader, Members: []counter.Member{member("n1", nil), member("n2", func(m *counter.Member) { m.AppliedIndex = 80; m.StateHash = nil })}}, checkWarning},
		"far behind":          {counter.Cluster{Leader: leader, Members: []counter.Member{member("n1", nil), member("n2", func(m *counter.Member) { m.AppliedIndex = 1; m.StateHash = nil })}}, checkCritical},
		"states differ":       {counter.Cluster{Leader: leader, Members: []counter.Member{member("n1", nil), member("n2", func(m *counter.Member) { m.StateHash.Hash = "b" })}}, checkCritical},
	} {
		k := checking{warnLag: 10, criticalLag: 50}
		if v := k.judge(assess(c.cluster)); v.code != c.want {
			t.Errorf("%s: %d, want %d: %s", name, v.code, c.want, v.line())
		}
	}
}

func TestAssignments(t *testing.T) {
	got, err := parseAssignments([]string{"a", "b=2", "c=d=-3", "e==4"}, true)
	want := map[string]int64{"a": 1, "b": 2, "c=d": -3, "e=": 4}
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %v, %v", got, err)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %d, want %d", key, got[key], value)
		}
	}
	for _, bad := range []string{"a=", "a=x", "a=1.0", "a=01", "a=+1", "a=9223372036854775808"} {
		if _, err := parseAssignments([]string{bad}, true); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
