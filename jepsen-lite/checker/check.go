package checker

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
)

// The names in a run's folder.
const (
	HistoryFile = "history.jsonl"
	JournalsDir = "journals"
)

// Config is how a run is checked.
type Config struct {
	Floors Floors
	// LinearTimeout is how long porcupine may take over one partition; 0 means 30 s.
	LinearTimeout time.Duration
}

// Check returns the verdict on the run whose folder is dir. The error says that
// the folder cannot be read or makes no sense; the verdict is unknown then.
func Check(dir string, config Config) (Verdict, error) {
	h, err := history.Load(filepath.Join(dir, HistoryFile))
	if err != nil {
		return Verdict{Outcome: Unknown}, err
	}
	journals := newResult("journals")
	log, err := loadLog(filepath.Join(dir, JournalsDir), journals)
	if err != nil {
		return Verdict{Outcome: Unknown}, fmt.Errorf("read the journals: %w", err)
	}
	return judge(h, log, *journals, config), nil
}

// Judge returns the verdict on a run that is in memory: the history, and the lines
// of each node's journal by its ID.
func Judge(h *history.History, journals map[string][]journal.Line, config Config) Verdict {
	result := newResult("journals")
	return judge(h, collectLog(journals, result), *result, config)
}

// judge runs all checks.
func judge(h *history.History, log *committedLog, journals Result, config Config) Verdict {
	if config.LinearTimeout == 0 {
		config.LinearTimeout = 30 * time.Second
	}
	replayed, watched := newResult("replay"), newResult("watch")
	queries := append(readQueries(h, replayed), resetQueries(h, watched)...)
	readings := len(queries)
	r := runReplay(log, h, watchedGroups(h), queries, replayed)
	r.checkAnswers()
	replayed.Checked = len(h.Operations) + len(log.entries)
	replayed.summarize("%d entries, %d readings and %d changes held against a model", len(log.entries), readings, len(h.Operations)-readings)
	checkWatch(r, watched)
	linear, failed := checkLinear(r, config.LinearTimeout)

	v := Verdict{Outcome: Valid, Stats: statsOf(h, log), Failed: failed}
	v.Results = []Result{
		journals, checkHashes(log, h), *replayed, checkRealTime(r), linear, checkBounds(h), checkTickets(h),
		checkOnce(h), *watched, checkLimit(r),
		checkFaults(v.Stats, config.Floors), checkFloors(v.Stats, config.Floors), checkComplete(h, log),
	}
	for _, result := range v.Results {
		v.Outcome = worse(v.Outcome, result.Outcome)
	}
	return v
}

// checkComplete sees that the run came to its end, and that after it every node
// served a change and a reading, had the state that all had, and has told in a
// journal how it came to it.
func checkComplete(h *history.History, log *committedLog) Result {
	result := newResult("complete")
	if !h.Ended {
		result.unknown("the history has no last line: the run was broken off")
	}
	reads, changes := map[string]int{}, map[string]int{}
	for i := range h.Operations {
		o := &h.Operations[i]
		switch {
		case !o.Op.Final || !o.OK():
		case o.Op.Kind == history.Read:
			reads[o.Op.Node]++
			result.Checked++
		default:
			changes[o.Op.Node]++
		}
	}
	var nodes []string
	for _, shown := range h.Hashes {
		if shown.What.Final && !slices.Contains(nodes, shown.What.Node) {
			nodes = append(nodes, shown.What.Node)
		}
	}
	slices.Sort(nodes)
	for _, node := range nodes {
		if reads[node] == 0 || changes[node] == 0 {
			result.unknown("%s had %d final readings and %d final changes", node, reads[node], changes[node])
		}
		if !log.nodes[node] {
			result.unknown("the journal of %s has no entry", node)
		}
	}
	if len(nodes) < max(1, len(h.Run.Nodes)) {
		result.unknown("%d nodes showed their state at the end; the run began with %d", len(nodes), len(h.Run.Nodes))
	}
	result.summarize("%d final readings, from %v", result.Checked, nodes)
	return *result
}

// ErrNotValid is what Err returns for a run that is not valid.
var ErrNotValid = errors.New("the run is not valid")

// Err returns nil for a valid run, and else an error that names the first check
// that is not.
func (v *Verdict) Err() error {
	for _, result := range v.Results {
		if result.Outcome != Valid {
			return fmt.Errorf("%w: %s is %s: %v", ErrNotValid, result.Name, result.Outcome, result.Findings)
		}
	}
	if v.Outcome != Valid {
		return ErrNotValid
	}
	return nil
}
