package history

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteEDN writes a history in the form of Jepsen, one operation a line, so
// that its checkers and others can be run on it:
//
//	{:index 0 :time 1200 :process 3 :type :invoke :f :increase :value [["g" [["a" 1]]]] :node "n1" :workload "ticket" :id 17}
//	{:index 1 :time 2400 :process 3 :type :ok :f :increase :value [["g" [["a" 8]]]] ... :revision 41}
//	{:index 2 :time 9000 :process :nemesis :type :info :f :kill-leader :value {:phase :begin :targets ["n2"] :detail "..."}}
//
// The operands of a change say what it does only together with the rest: of a
// conditional set, :if-revision; of a batch, the kinds of its :parts in their order;
// of a reading of some keys, these :keys; and :user and :key, the idempotency key.
//
// A value has, for each part of the request, the group and its counters: the
// operands and new values when it is invoked, and those that the reply had when
// it is ok. An invoked read has nil for the counters; a delete has the keys, or nil for all.
// Messages of watchers and state hashes, which Jepsen has no form for, are left out.
func WriteEDN(w io.Writer, r io.Reader) error {
	out := bufio.NewWriter(w)
	e := ednWriter{out: out, pending: map[uint64]*Op{}}
	if err := Lines(r, e.add); err != nil {
		return err
	}
	return out.Flush()
}

type ednWriter struct {
	out     *bufio.Writer
	index   int
	pending map[uint64]*Op
}

func (w *ednWriter) add(e Entry) error {
	switch e.Type {
	case TypeInvoke:
		if e.Op == nil || len(e.Op.Parts) == 0 {
			return fmt.Errorf("invocation %d has no operation", e.ID)
		}
		w.pending[e.ID] = e.Op
		w.operation(e, e.Op, ednParts(e.Op.Parts), "")
	case TypeOK, TypeFail, TypeInfo:
		op := w.pending[e.ID]
		if op == nil || e.Reply == nil {
			return fmt.Errorf("completion of %d, which was not invoked", e.ID)
		}
		delete(w.pending, e.ID)
		value, extra := ednParts(op.Parts), ""
		if e.Type == TypeOK {
			value = ednOutcomes(e.Reply.Outcomes)
			extra = " :revision " + strconv.FormatUint(e.Reply.Revision, 10)
		} else if e.Reply.Code != "" {
			extra = " :error " + ednString(e.Reply.Code)
		}
		w.operation(e, op, value, extra)
	case TypeFault:
		if e.Fault != nil {
			w.fault(e)
		}
	}
	return nil
}

// Errors of a bufio.Writer stay with it until Flush returns them.

func (w *ednWriter) operation(e Entry, op *Op, value, extra string) {
	_, _ = fmt.Fprintf(w.out, "{:index %d :time %d :process %d :type :%s :f :%s :value %s%s :node %s :workload %s :id %d%s}\n",
		w.index, e.Time.Nanoseconds(), e.Process, e.Type, op.Kind, value, ednDetails(op), ednString(op.Node), ednString(op.Workload), e.ID, extra)
	w.index++
}

func (w *ednWriter) fault(e Entry) {
	targets := make([]string, len(e.Fault.Targets))
	for i, target := range e.Fault.Targets {
		targets[i] = ednString(target)
	}
	_, _ = fmt.Fprintf(w.out, "{:index %d :time %d :process :nemesis :type :info :f :%s :value {:phase :%s :targets [%s] :detail %s :proof %s}}\n",
		w.index, e.Time.Nanoseconds(), ednName(e.Fault.Kind), ednName(string(e.Fault.Phase)), strings.Join(targets, " "), ednString(e.Fault.Detail), ednString(e.Fault.Proof))
	w.index++
}

func ednParts(parts []Part) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		content := ednCounters(p.Counters)
		switch {
		case p.Kind.IsRead() || p.All:
			content = "nil"
		case p.Kind == Delete:
			content = ednKeys(p.Keys)
		}
		texts[i] = "[" + ednString(p.Group) + " " + content + "]"
	}
	return "[" + strings.Join(texts, " ") + "]"
}

// ednDetails is what a request depends on besides its operands.
func ednDetails(op *Op) string {
	var b strings.Builder
	first := &op.Parts[0]
	if op.Kind == Batch {
		kinds := make([]string, len(op.Parts))
		for i, p := range op.Parts {
			kinds[i] = ":" + ednName(string(p.Kind))
		}
		b.WriteString(" :parts [" + strings.Join(kinds, " ") + "]")
	}
	if first.IfRevision != nil {
		b.WriteString(" :if-revision " + strconv.FormatUint(*first.IfRevision, 10))
	}
	if op.Kind.IsRead() && len(first.Keys) > 0 {
		b.WriteString(" :keys " + ednKeys(first.Keys))
	}
	if op.User != "" {
		b.WriteString(" :user " + ednString(op.User))
	}
	if op.Key != "" {
		b.WriteString(" :key " + ednString(op.Key))
	}
	return b.String()
}

func ednOutcomes(outcomes []Outcome) string {
	texts := make([]string, len(outcomes))
	for i, o := range outcomes {
		content := ednCounters(o.Counters)
		if o.Deleted != nil {
			content = ednKeys(o.Deleted)
		}
		texts[i] = "[" + ednString(o.Group) + " " + content + "]"
	}
	return "[" + strings.Join(texts, " ") + "]"
}

func ednCounters(list []Counter) string {
	texts := make([]string, len(list))
	for i, c := range list {
		texts[i] = "[" + ednString(c.Key) + " " + strconv.FormatInt(c.Value, 10) + "]"
	}
	return "[" + strings.Join(texts, " ") + "]"
}

func ednKeys(keys []string) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = ednString(key)
	}
	return "[" + strings.Join(texts, " ") + "]"
}

// ednString quotes text: EDN knows the escapes of Java's \t \n \r \\ \" and \uXXXX.
func ednString(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// ednName makes a keyword's name of text that may be anything.
func ednName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, text)
	if name == "" {
		return "unknown"
	}
	return name
}
