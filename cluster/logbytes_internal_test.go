package cluster

import "testing"

func TestLogBytes(t *testing.T) {
	const most = 100_000
	for name, test := range map[string]struct {
		grow          []logMark // what was applied, look by look
		compacted     uint64
		snapshotIndex uint64
		due           bool
		trailing      uint64
	}{
		"nothing":                        {grow: []logMark{{0, 0}}, trailing: most},
		"less than the bound":            {grow: []logMark{{10, 600}, {20, 999}}, trailing: most},
		"the bound":                      {grow: []logMark{{10, 600}, {20, 1000}}, due: true, trailing: most},
		"cut not long ago":               {grow: []logMark{{10, 600}, {20, 1200}, {30, 1500}}, compacted: 600, trailing: 20},
		"cut long ago":                   {grow: []logMark{{10, 600}, {20, 1200}, {30, 1600}}, compacted: 600, due: true, trailing: 20},
		"a snapshot for other reasons":   {grow: []logMark{{10, 600}, {20, 1200}, {30, 1600}}, snapshotIndex: 20, trailing: 20},
		"a snapshot before the first":    {grow: []logMark{{10, 600}, {20, 1200}}, snapshotIndex: 9, due: true, trailing: 10},
		"more than the bound in a look":  {grow: []logMark{{10, 600}, {20, 5000}}, due: true, trailing: 1},
		"many looks":                     {grow: looks(1000, 100), due: true, trailing: 10},
		"many looks of nearly nothing":   {grow: looks(10_000, 1), due: true, trailing: 999},
		"no more than is kept otherwise": {grow: []logMark{{0, 0}, {200_000, 500}, {500_000, 1400}}, due: true, trailing: most},
	} {
		t.Run(name, func(t *testing.T) {
			b := logBytes{max: 1000, compacted: test.compacted}
			var now logMark
			for _, now = range test.grow {
				b.note(now)
			}
			if got := b.due(now, test.snapshotIndex); got != test.due {
				t.Errorf("due: %v, want %v", got, test.due)
			}
			if got := b.trailing(now, most); got != test.trailing {
				t.Errorf("%d trailing entries, want %d", got, test.trailing)
			}
			if len(b.marks) > 2*logMarks {
				t.Errorf("%d marks are kept", len(b.marks))
			}
		})
	}
}

// looks are so many looks, in each of which one entry of so many bytes was applied.
func looks(count, bytes uint64) []logMark {
	var marks []logMark
	for i := range count {
		marks = append(marks, logMark{i + 1, (i + 1) * bytes})
	}
	return marks
}
