package peer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const (
	// pingInterval is how long the side that dialed waits for anything to
	// arrive before it asks for a sign of life.
	pingInterval = time.Second

	// silentIntervalsMax is how many intervals in a row without a byte make a
	// connection lost. Intervals are counted, not measured: after a pause of
	// this process (SIGSTOP, a suspended machine) one has passed, not many.
	silentIntervalsMax = 3
)

// listener reads from a connection and gives up when the other side is silent
// for too long: a partition or a dead machine ends no connection by itself, and
// calls on it would each wait for their own deadlines, also when a new
// connection would long have worked.
type listener struct {
	conn     net.Conn
	interval time.Duration
	onSilent func() // called after each silent interval but the last
}

// Read hides time-outs until the connection has to be given up.
func (l *listener) Read(p []byte) (int, error) {
	for silent := 1; ; silent++ {
		if err := l.conn.SetReadDeadline(time.Now().Add(l.interval)); err != nil {
			return 0, err
		}
		n, err := l.conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if silent == silentIntervalsMax {
			return 0, fmt.Errorf("nothing was heard for %v: %w", time.Duration(silent)*l.interval, err)
		}
		l.onSilent()
	}
}
