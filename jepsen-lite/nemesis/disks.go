//go:build linux

package nemesis

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tally/jepsen-lite/proc"
)

// exitFailStop is the code with which a node ends itself because of its disk, as
// tallyd --help lists it.
const exitFailStop = 70

// diskKinds take the power, the disk, or its room away.
func diskKinds() []Kind {
	kinds := []Kind{
		{Name: "power-cut-one", Does: "one machine loses power: what was not synced is gone", Inject: func(i *Injection) error {
			return powerCut(i, i.Some(1))
		}},
		{Name: "power-cut-leader", Does: "the leader's machine loses power", Touches: Leader, Inject: powerCutLeader},
		{Name: "power-cut-all", Does: "all machines lose power at once", Inject: func(i *Injection) error {
			return powerCut(i, i.Cluster.Machines())
		}},
		{Name: "disk-error", Does: "one disk answers every call with an error; the node must end itself", Inject: diskError},
		{Name: "disk-hang", Does: "one disk hangs; the node must end itself", Inject: diskHang},
		{Name: "disk-full", Does: "one disk has no room left", Inject: diskFull},
	}
	for k := range kinds {
		kinds[k].Touches |= Processes
		kinds[k].Needs = []proc.Capability{proc.Disks}
	}
	return kinds
}

func powerCutLeader(i *Injection) error {
	leader, err := i.leader()
	if err != nil {
		return err
	}
	return powerCut(i, []*proc.Machine{leader.Machine})
}

// powerCut takes the disks of machines away and kills their nodes. A file that
// was written and not synced just before shows that something was lost, one that
// was synced that the disk keeps its promise.
func powerCut(i *Injection, machines []*proc.Machine) error {
	i.Begin(machines, "power cut")
	var canaries []*canary
	for _, m := range machines {
		c, err := plant(m.Disk)
		if err != nil {
			return err
		}
		canaries = append(canaries, c)
		i.Heal(func() error { return errors.Join(restoreDisk(m), m.Start()) })
	}
	// The disks first: what a node does between the two moments fails, as it
	// would without power.
	for n, m := range machines {
		m.ExpectEnd(true)
		if err := errors.Join(canaries[n].writeUnsynced(), m.Disk.Lose()); err != nil {
			return err
		}
	}
	for _, m := range machines {
		if _, err := m.Kill(); err != nil && m.Running() {
			return err // one that has ended itself by now is dead as well
		}
	}
	if err := i.Hold(); err != nil {
		return err
	}
	for n, m := range machines {
		if err := restoreDisk(m); err != nil {
			return err
		}
		if err := canaries[n].check(); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		i.Prove("%s lost %d bytes that were not synced, kept what was", m.Name, canaryBytes)
	}
	return nil
}

// restoreDisk brings a disk back after it was lost. Its machine's node must have
// ended.
func restoreDisk(m *proc.Machine) error {
	if m.Running() {
		if _, err := m.Kill(); err != nil && m.Running() {
			return err
		}
	}
	return errors.Join(m.Disk.Unmount(), m.Disk.Mount())
}

const canaryBytes = 4096

// canary is a pair of files that tell what a power cut took.
type canary struct{ synced, unsynced string }

// plant writes the file that must stay.
func plant(d *proc.Disk) (*canary, error) {
	c := &canary{synced: filepath.Join(d.Root(), "synced"), unsynced: filepath.Join(d.Root(), "unsynced")}
	for _, old := range []string{c.synced, c.unsynced} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	f, err := os.Create(c.synced)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(canaryData())
	err = errors.Join(err, f.Sync(), f.Close())
	dir, openErr := os.Open(d.Root())
	if openErr != nil {
		return nil, errors.Join(err, openErr)
	}
	return c, errors.Join(err, dir.Sync(), dir.Close())
}

func (c *canary) writeUnsynced() error { return os.WriteFile(c.unsynced, canaryData(), 0o644) }

func (c *canary) check() error {
	kept, err := os.ReadFile(c.synced)
	if err != nil || !bytes.Equal(kept, canaryData()) {
		return errors.Join(errors.New("a synced file did not survive the power cut: this system's disks do not sync"), err)
	}
	lost, err := os.ReadFile(c.unsynced)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if bytes.Equal(lost, canaryData()) {
		return errors.New("an unsynced file survived the power cut: nothing was lost")
	}
	return nil
}

func canaryData() []byte { return bytes.Repeat([]byte("canary\n."), canaryBytes/8) }

// diskError lets a disk fail under a live node. It ends itself at its next write.
func diskError(i *Injection) error {
	m := i.Some(1)[0]
	i.Begin([]*proc.Machine{m}, "every call to the disk fails")
	i.Heal(func() error { return errors.Join(restoreDisk(m), m.Start()) })
	m.ExpectEnd(true)
	if err := m.Disk.Lose(); err != nil {
		return err
	}
	if err := proveFailStop(i, m); err != nil {
		return err
	}
	return i.Hold()
}

// proveFailStop waits for a node that ends itself because of its disk.
func proveFailStop(i *Injection, m *proc.Machine) error {
	start := time.Now()
	exit, err := m.AwaitEnd(evidenceLimit)
	if err != nil {
		return i.owed(err) // cut off from the others, it may have nothing to write
	}
	if exit.Code != exitFailStop {
		return fmt.Errorf("%w: its disk failed, and %v, not %d: %s", ErrPromise, exit, exitFailStop, exit.Words)
	}
	i.Prove("%v, %d ms later: %s", exit, time.Since(start).Milliseconds(), lastLine(exit.Words))
	return nil
}

func lastLine(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }

// hangLimit is a little more than the longest that a call to the disk may take:
// 30 times the storage timeout of 2 s, when a snapshot is closed.
const hangLimit = 65 * time.Second

// diskHang freezes a disk under a live node, whose watchdog must end it. A
// process with a thread in a frozen file system stays a zombie until the thaw;
// what counts is that it answers nobody any more.
func diskHang(i *Injection) error {
	m := i.Some(1)[0]
	i.Begin([]*proc.Machine{m}, "every write to the disk hangs")
	m.ExpectEnd(true)
	i.Heal(m.Start)
	start := time.Now()
	freeze, err := m.Disk.Freeze()
	if err != nil {
		return err
	}
	i.Heal(freeze.Thaw)
	err = i.AwaitFor(hangLimit, "a node on a frozen disk ends itself", func() (bool, error) {
		s := m.State()
		return s == 0 || s == 'Z', fmt.Errorf("pid %d is in state %q", m.PID(), s)
	})
	if err != nil {
		return i.owed(err)
	}
	i.Prove("the process was dead %d ms after the disk hung", time.Since(start).Milliseconds())
	if err := i.Hold(); err != nil {
		return err
	}
	if err := freeze.Thaw(); err != nil {
		return err
	}
	return proveFailStop(i, m)
}

// diskFull leaves no room. A node says so or, if it cannot even store what the
// leader sends, ends itself.
func diskFull(i *Injection) error {
	const leave = 64 << 10
	m := i.Some(1)[0]
	i.Begin([]*proc.Machine{m}, "%d bytes are left on the disk", leave)
	m.ExpectEnd(true)
	i.Heal(func() error {
		err := m.Disk.Drain()
		m.ExpectEnd(false)
		return errors.Join(err, m.Start())
	})
	if err := m.Disk.Fill(leave); err != nil {
		return err
	}
	err := i.Await("a node tells of a full disk", func() (bool, error) {
		if !m.Running() {
			return true, proveFailStop(i, m)
		}
		said, err := m.Readiness(i.Context)
		if !strings.Contains(said, "[-]disk") {
			// The node may have made room by deleting files of its own.
			return false, errors.Join(fmt.Errorf("it says: %s", said), err, m.Disk.Fill(leave))
		}
		i.Prove("%s", strings.TrimSpace(said[strings.Index(said, "[-]disk"):]))
		return true, nil
	})
	if err != nil {
		return err
	}
	return i.Hold()
}
