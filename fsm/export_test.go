package fsm

// Limits are the limits of an idempotency table in a test; times are those of the product.
type Limits struct {
	Entries, ResultBytes, AgedPerCommand int
	// IgnoreKeyTimes keeps entries in the order of log time, which is wrong.
	IgnoreKeyTimes bool
}

// NewMachineWithin returns a machine with small limits.
func NewMachineWithin(config Config, l Limits) *Machine {
	limits := productLimits()
	limits.entriesMax, limits.resultBytesMax, limits.agedPerCommandMax = l.Entries, l.ResultBytes, l.AgedPerCommand
	limits.ignoreKeyTimes = l.IgnoreKeyTimes
	return newMachine(config, limits)
}

// Remembered returns how many requests a machine remembers, and the bytes of their results.
func (m *Machine) Remembered() (entries, resultBytes int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.idempotency.entries.count, m.state.idempotency.resultBytes
}

// RequestRecord is a request as it stands in a snapshot.
func RequestRecord(timeMs int64, key byte, flags byte, revision uint64, result string) string {
	e := entry{timeMs: timeMs, key: digest{key}, revision: revision, result: []byte(result)}
	record := e.append(nil)
	record[entryFlagsAt] = flags
	return string(appendRecord(nil, record))
}
