package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"

	"tally/internal/clustertest"
	"tally/node"
	"tally/storage"
	"tally/storage/memdisk"
)

func allKinds() []kind {
	return slices.Concat(processKinds(), diskKinds(), networkKinds(), clockKinds(), memberKinds())
}

// --- processes -----------------------------------------------------------------

func processKinds() []kind {
	var kinds []kind
	for _, end := range []struct {
		name string
		end  func(*clustertest.Node)
	}{{"kill", (*clustertest.Node).Kill}, {"power-cut", (*clustertest.Node).Crash}} {
		count := func(n func(*fault) int) func(*fault) error {
			return func(f *fault) error { return endThem(f, end.end, f.some(n(f))) }
		}
		kinds = append(kinds,
			kind{name: end.name + "-one", inject: count(func(*fault) int { return 1 })},
			kind{name: end.name + "-majority", inject: count(func(f *fault) int { return len(f.world.nodes())/2 + 1 })},
			kind{name: end.name + "-all", inject: count(func(f *fault) int { return len(f.world.nodes()) })},
			kind{name: end.name + "-leader", touches: leaders, inject: func(f *fault) error { return endLeader(f, end.end) }},
		)
	}
	kinds = append(kinds,
		kind{name: "restart-often", inject: restartOften},
		kind{name: "rolling-restart", inject: rollingRestart},
	)
	for i := range kinds {
		kinds[i].touches |= processes
	}
	return kinds
}

func endThem(f *fault, end func(*clustertest.Node), targets []*clustertest.Node) error {
	f.begin(targets, "their processes end")
	for _, n := range targets {
		f.heal(func() { f.world.mustStart(n) })
		if n.Running() {
			f.prove("%s ran", n.ID)
		}
		end(n)
	}
	f.hold()
	return nil
}

func endLeader(f *fault, end func(*clustertest.Node)) error {
	leader, err := f.leader()
	if err != nil {
		return err
	}
	f.begin([]*clustertest.Node{leader}, "its process ends, and it led")
	f.heal(func() { f.world.mustStart(leader) })
	end(leader)
	return f.proveNewLeader(leader)
}

// restartOften ends a process again and again, sometimes while it starts.
func restartOften(f *fault) error {
	n := f.one()
	f.begin([]*clustertest.Node{n}, "it is restarted five times")
	f.heal(func() { f.world.mustStart(n) })
	for range 5 {
		if f.random.IntN(2) == 0 {
			n.Kill()
		} else {
			n.Crash()
		}
		f.world.mustStart(n)
		time.Sleep(between(f.random, 0, 300*time.Millisecond))
	}
	f.prove("it was started five times")
	return nil
}

func rollingRestart(f *fault) error {
	nodes := f.some(len(f.world.nodes()))
	f.begin(nodes, "each is stopped as by SIGTERM, and started")
	for _, n := range nodes {
		// It may be that it cannot hand over what it leads: that is no failure.
		if err := n.Close(); err != nil && n.Running() {
			return fmt.Errorf("%s does not stop: %w", n.ID, err)
		}
		f.world.mustStart(n)
		time.Sleep(between(f.random, 100*time.Millisecond, 600*time.Millisecond))
	}
	f.prove("%d nodes were stopped", len(nodes))
	return nil
}

// --- disks ---------------------------------------------------------------------

func diskKinds() []kind {
	kinds := []kind{
		{name: "disk-error", inject: func(f *fault) error {
			failure := []error{syscall.EIO, syscall.ENOSPC}[f.random.IntN(2)]
			return endByDisk(f, memdisk.Fault{Err: failure, Done: f.random.IntN(2) == 0, Times: 1}, failure)
		}},
		{name: "disk-hang", inject: func(f *fault) error { return endByDisk(f, memdisk.Fault{Hang: true}, storage.ErrTimeout) }},
		{name: "disk-slow", inject: slowDisk},
		{name: "disk-full", inject: fullDisk},
		{name: "torn-write", inject: tearWrite},
		{name: "damaged-log", touches: members | leaders, inject: damageLog},
		{name: "damaged-covered", touches: members | leaders, inject: damageCovered, possible: func(p Plan) bool { return p.ShortLogs }},
		{name: "damaged-snapshot", touches: members | leaders, inject: damageSnapshot, possible: func(p Plan) bool { return p.ShortLogs }},
	}
	for i := range kinds {
		kinds[i].touches |= processes
	}
	return kinds
}

// writer returns the leader, whose disk is written most, or any member.
func (f *fault) writer() *clustertest.Node {
	if leader := f.world.leader(); leader != nil && f.random.IntN(2) == 0 {
		return leader
	}
	return f.one()
}

// endByDisk lets writes to the log fail or hang, after which a node must end itself.
func endByDisk(f *fault, how memdisk.Fault, want error) error {
	n := f.writer()
	f.begin([]*clustertest.Node{n}, "writes to its log: %v, hang: %t, done all the same: %t", how.Err, how.Hang, how.Done)
	done := f.world.expectEnd(n.ID)
	f.heal(func() {
		f.world.healDisk(n)
		f.world.mustStart(n)
		done()
	})
	n.Disk().Inject(storage.OpStoreLogs, how)
	if err := f.await("it ends itself", func() bool { return n.Failure() != nil }); err != nil {
		return err
	}
	if failure := n.Failure(); !errors.Is(failure, want) {
		return fmt.Errorf("it ended itself because of something else: %w", failure)
	}
	f.prove("it ended itself: %v", n.Failure())
	f.hold()
	return nil
}

func slowDisk(f *fault) error {
	n := f.writer()
	delay := between(f.random, 10*time.Millisecond, 1500*time.Millisecond)
	f.begin([]*clustertest.Node{n}, "every write to its log takes %v", delay)
	f.heal(func() { f.world.healDisk(n) })
	before := n.Disk().Calls(storage.OpStoreLogs)
	n.Disk().Inject(storage.OpStoreLogs, memdisk.Fault{Delay: delay})
	f.hold()
	return f.await("a write to its log", func() bool {
		met := n.Disk().Calls(storage.OpStoreLogs) - before
		if met > 0 {
			f.prove("%d writes were slow", met)
		}
		return met > 0
	})
}

func fullDisk(f *fault) error {
	n := f.writer()
	f.begin([]*clustertest.Node{n}, "its disk has 1 MiB left")
	f.heal(func() { n.Disk().SetFreeBytes(math.MaxUint64) })
	n.Disk().SetFreeBytes(1 << 20)
	err := f.await("it says that its disk is full", func() bool {
		ok, detail := n.Ready("disk")
		if !ok {
			f.prove("%s", detail)
		}
		return !ok
	})
	f.hold()
	return err
}

// tearWrite is a power loss in the middle of a write to the log.
func tearWrite(f *fault) error {
	n := f.writer()
	f.begin([]*clustertest.Node{n}, "the power goes while it writes to its log")
	f.heal(func() {
		f.world.healDisk(n)
		f.world.mustStart(n)
	})
	before := n.Disk().Calls(storage.OpStoreLogs)
	n.Disk().Inject(storage.OpStoreLogs, memdisk.Fault{Torn: true, Hang: true})
	if err := f.await("a write to its log", func() bool { return n.Disk().Calls(storage.OpStoreLogs) > before }); err != nil {
		return err
	}
	n.Crash()
	f.prove("it was writing")
	f.hold()
	return nil
}

// damageLog damages an entry that a node has applied and reads again when it
// starts. It must not start with it; the others must not miss it.
func damageLog(f *fault) error {
	n := f.apart(1)[0]
	f.begin([]*clustertest.Node{n}, "an entry of its log behind the snapshot is damaged, and it is restarted")
	f.heal(f.world.expectEnd(n.ID))
	n.Kill()
	_, last, snapshot := n.Disk().Extent()
	index := last - uint64(f.random.Int64N(int64(last-snapshot)+1)) // any of them; an entry of Raft's own has nothing to damage
	for index > snapshot && !n.Disk().CorruptLog(index) {
		index--
	}
	err := n.TryStart()
	if index == snapshot {
		f.prove("nothing behind its snapshot at %d could be damaged: it was restarted", snapshot)
		return err
	}
	if err == nil {
		if awaitErr := f.await("it ends itself", func() bool { return n.Failure() != nil }); awaitErr != nil {
			f.world.violation("%s goes on with a damaged log: entry %d of %d", n.ID, index, last)
			return awaitErr
		}
		err = n.Failure()
	}
	f.prove("with entry %d damaged it ended: %v", index, err)
	return replaceNode(f, n)
}

// damageCovered damages an entry that the snapshot covers, so that nothing reads
// it but a leader for a node that was away, and keeps such a node away before.
// Whatever comes of it, the node with the damage is replaced.
func damageCovered(f *fault) error {
	pair := f.apart(2)
	n, away := pair[0], pair[1]
	f.begin(pair, "%s is away for a while; entries of %s that it lacks are damaged", away.ID, n.ID)
	f.heal(f.world.expectEnd(n.ID))
	f.heal(func() { f.world.mustStart(away) })
	away.Kill()
	_, known, _ := away.Disk().Extent()
	f.hold()
	n.Kill()
	_, _, snapshot := n.Disk().Extent()
	damaged := 0
	for index := known + 1; index <= max(snapshot, known+1); index++ {
		if n.Disk().CorruptLog(index) {
			damaged++
		}
	}
	err := n.TryStart()
	f.world.mustStart(away)
	f.hold()
	f.prove("%d entries up to %d are damaged; %s runs: %t (%v, %v)", damaged, snapshot, n.ID, n.Running(), err, n.Failure())
	return replaceNode(f, n)
}

// damageSnapshot damages the newest snapshot. The node starts from the one before
// if its log follows that, and is replaced if it does not.
func damageSnapshot(f *fault) error {
	n := f.apart(1)[0]
	f.begin([]*clustertest.Node{n}, "its newest snapshot is damaged, and it is restarted")
	f.heal(f.world.expectEnd(n.ID))
	n.Kill()
	found := n.Disk().CorruptSnapshot()
	err := n.TryStart()
	if !found || err == nil {
		f.prove("there was a snapshot: %t; it starts", found)
		return err
	}
	if !errors.Is(err, storage.ErrDamaged) && !strings.Contains(err.Error(), "failed to load any existing snapshots") {
		return fmt.Errorf("it did not start because of something else: %w", err)
	}
	f.prove("it did not start: %v", err)
	return replaceNode(f, n)
}

// --- network -------------------------------------------------------------------

func networkKinds() []kind {
	kinds := []kind{
		{name: "isolate-one", inject: func(f *fault) error {
			n := f.apart(1)[0]
			return cut(f, []*clustertest.Node{n}, bothWays([]*clustertest.Node{n}, f.others(n)))
		}},
		{name: "isolate-majority", touches: members, inject: func(f *fault) error {
			side := f.some(len(f.world.nodes())/2 + 1)
			return cut(f, side, bothWays(side, f.others(side...)))
		}},
		{name: "isolate-each", inject: func(f *fault) error {
			all := f.world.nodes()
			return cut(f, all, bothWays(all, all))
		}},
		{name: "isolate-leader", touches: leaders, inject: isolateLeader},
		{name: "one-way", inject: func(f *fault) error {
			pair := f.apart(2)
			return cut(f, pair, []link{{pair[0].ID, pair[1].ID}})
		}},
		{name: "bridge", touches: members, inject: func(f *fault) error {
			all := f.some(len(f.world.nodes()))
			half := len(all) / 2
			return cut(f, all, bothWays(all[:half], all[half+1:]))
		}},
		{name: "leader-unheard", inject: func(f *fault) error {
			return cutLeader(f, func(leader, other string) link { return link{leader, other} })
		}},
		{name: "leader-deaf", inject: func(f *fault) error {
			return cutLeader(f, func(leader, other string) link { return link{other, leader} })
		}},
		{name: "flapping", inject: flap},
		{name: "delay", inject: delay},
		{name: "reset", inject: reset},
		{name: "clients-cut", inject: func(f *fault) error {
			n := f.apart(1)[0]
			return cut(f, []*clustertest.Node{n}, []link{{clientHost, n.ID}, {n.ID, clientHost}})
		}},
		{name: "replies-cut", inject: func(f *fault) error {
			n := f.apart(1)[0]
			return cut(f, []*clustertest.Node{n}, []link{{n.ID, clientHost}})
		}},
		{name: "ghosts", inject: ghosts},
	}
	for i := range kinds {
		kinds[i].touches |= network
	}
	return kinds
}

// link is one direction between two hosts.
type link struct{ from, to string }

func bothWays(side, other []*clustertest.Node) []link {
	var links []link
	for _, a := range side {
		for _, b := range other {
			if a != b {
				links = append(links, link{a.ID, b.ID}, link{b.ID, a.ID})
			}
		}
	}
	return links
}

// cut cuts links until something was lost on one of them, and a while longer.
func cut(f *fault, targets []*clustertest.Node, links []link) error {
	stopped := cutLinks(f, targets, links)
	f.hold()
	err := f.await("something is stopped", func() bool { return stopped() > 0 })
	f.prove("%d bytes and dials were stopped", stopped())
	return err
}

// cutLinks cuts links, and returns how to learn what was stopped on them.
func cutLinks(f *fault, targets []*clustertest.Node, links []link) (stopped func() int64) {
	net := f.world.cluster.Network()
	met := func() (n int64) {
		for _, l := range links {
			traffic := net.Traffic(l.from, l.to)
			// A dial waits for both directions, and counts in its own.
			n += traffic.Stalled + traffic.Waited + net.Traffic(l.to, l.from).Waited
		}
		return n
	}
	f.begin(targets, "cut: %v", links)
	before := met()
	for _, l := range links {
		f.heal(func() { net.Heal(l.from, l.to) })
		net.Cut(l.from, l.to)
	}
	return func() int64 { return met() - before }
}

func isolateLeader(f *fault) error {
	leader, err := f.leader()
	if err != nil {
		return err
	}
	stopped := cutLinks(f, []*clustertest.Node{leader}, bothWays([]*clustertest.Node{leader}, f.others(leader)))
	err = f.proveNewLeader(leader)
	f.prove("%d bytes and dials were stopped", stopped())
	f.hold()
	return err
}

func cutLeader(f *fault, direction func(leader, other string) link) error {
	leader, err := f.leader()
	if err != nil {
		return err
	}
	var links []link
	for _, other := range f.others(leader) {
		links = append(links, direction(leader.ID, other.ID))
	}
	return cut(f, []*clustertest.Node{leader}, links)
}

// flap cuts and heals a link several times in a second.
func flap(f *fault) error {
	pair := f.apart(2)
	net := f.world.cluster.Network()
	stopped := cutLinks(f, pair, bothWays(pair[:1], pair[1:]))
	for range 8 {
		time.Sleep(between(f.random, 10*time.Millisecond, 200*time.Millisecond))
		net.Heal(pair[0].ID, pair[1].ID)
		net.Heal(pair[1].ID, pair[0].ID)
		time.Sleep(between(f.random, 10*time.Millisecond, 100*time.Millisecond))
		net.Cut(pair[0].ID, pair[1].ID)
		net.Cut(pair[1].ID, pair[0].ID)
	}
	err := f.await("something is stopped", func() bool { return stopped() > 0 })
	f.prove("%d bytes and dials were stopped", stopped())
	return err
}

// delay makes every link slow, each in its own measure, those of clients too;
// what is on different connections overtakes each other.
func delay(f *fault) error {
	net := f.world.cluster.Network()
	all := f.world.nodes()
	f.begin(all, "every link is slow")
	hosts := []string{clientHost}
	for _, n := range all {
		hosts = append(hosts, n.ID)
	}
	delivered := func() (n int64) {
		for _, from := range hosts {
			for _, to := range hosts {
				n += net.Traffic(from, to).Delivered
			}
		}
		return n
	}
	before := delivered()
	for _, from := range hosts {
		for _, to := range hosts {
			if from == to {
				continue
			}
			f.heal(func() {
				net.Delay(from, to, f.world.plan.Latency)
				net.Spread(from, to, 0)
			})
			net.Delay(from, to, between(f.random, 0, 60*time.Millisecond))
			net.Spread(from, to, between(f.random, time.Millisecond, 100*time.Millisecond))
		}
	}
	f.hold()
	err := f.await("something comes late", func() bool { return delivered() > before })
	f.prove("%d bytes came late", delivered()-before)
	return err
}

// reset breaks connections, those of clients too, several times.
func reset(f *fault) error {
	n := f.apart(1)[0]
	net := f.world.cluster.Network()
	f.begin([]*clustertest.Node{n}, "all its connections are reset five times")
	hosts := []string{clientHost}
	for _, other := range f.others(n) {
		hosts = append(hosts, other.ID)
	}
	resets := func() (count int64) {
		for _, host := range hosts {
			count += net.Traffic(host, n.ID).Resets + net.Traffic(n.ID, host).Resets
		}
		return count
	}
	before := resets()
	for range 5 {
		for _, host := range hosts {
			net.Reset(host, n.ID)
		}
		time.Sleep(between(f.random, 0, 300*time.Millisecond))
	}
	err := f.await("a connection to reset", func() bool {
		for _, host := range hosts {
			net.Reset(host, n.ID)
		}
		return resets() > before
	})
	f.prove("%d connections were reset", resets()-before)
	return err
}

// ghosts opens connections to every port that say nothing, or nothing that makes sense.
func ghosts(f *fault) error {
	all := f.world.nodes()
	f.begin(all, "strangers connect to all ports")
	opened := 0
	for range 4 {
		for _, n := range all {
			opened += haunt(f, n.ID+":8101") + haunt(f, n.ID+":9101")
		}
		time.Sleep(between(f.random, 0, 300*time.Millisecond))
	}
	err := f.await("a node to connect to", func() bool {
		opened += haunt(f, all[0].ID+":9101")
		return opened > 0
	})
	f.prove("%d connections were opened", opened)
	return err
}

// haunt opens one such connection and returns how many it could: none where
// nobody listens.
func haunt(f *fault, address string) (opened int) {
	conn, err := f.world.dialAs("ghost", address)
	if err != nil {
		return 0
	}
	f.heal(func() { _ = conn.Close() })
	if f.random.IntN(2) == 0 {
		nonsense := make([]byte, 1+f.random.IntN(200))
		for i := range nonsense {
			nonsense[i] = byte(f.random.Uint32())
		}
		_, _ = conn.Write(nonsense) // it may be thrown out at any time
	}
	return 1
}

// --- clocks --------------------------------------------------------------------

func clockKinds() []kind {
	kinds := []kind{
		{name: "clock-forward", inject: func(f *fault) error { return skew(f, someSkew(f), 0) }},
		{name: "clock-back", inject: func(f *fault) error { return skew(f, -someSkew(f), 0) }},
		{name: "clock-drift", inject: func(f *fault) error {
			return skew(f, 0, (1+4*f.random.Float64())*float64(1-2*f.random.IntN(2)))
		}},
		{name: "clock-strobe", inject: strobe},
	}
	for i := range kinds {
		kinds[i].touches = clocks
	}
	return kinds
}

// someSkew returns 10 s to 6 h, small ones as often as large ones.
func someSkew(f *fault) time.Duration {
	const least, most = 10, 6 * 3600
	return time.Duration(least*math.Pow(most/least, f.random.Float64())) * time.Second
}

// skewSeen is the skew from which on a node says that its clock is wrong.
const skewSeen = 5 * time.Second

// skew makes a clock wrong, or ever more wrong, until its node says so.
func skew(f *fault, offset time.Duration, drift float64) error {
	n := f.apart(1)[0]
	f.begin([]*clustertest.Node{n}, "its clock is wrong by %v and gains %.1f s a second", offset, drift)
	c := f.world.clock(n.ID)
	f.heal(func() { c.set(0, 0) })
	c.set(offset, drift)
	if err := proveSkew(f, n); err != nil {
		return err
	}
	f.hold()
	return nil
}

func proveSkew(f *fault, n *clustertest.Node) error {
	return f.await("it says that its clock is wrong", func() bool {
		process := n.Process()
		if process == nil || process.Cluster().ClockSkew().Abs() < skewSeen {
			return false
		}
		f.prove("it is %v ahead of the others, it says", process.Cluster().ClockSkew())
		return true
	})
}

func strobe(f *fault) error {
	n := f.apart(1)[0]
	offset := someSkew(f)
	f.begin([]*clustertest.Node{n}, "its clock jumps between right and wrong by %v", offset)
	c := f.world.clock(n.ID)
	f.heal(func() { c.set(0, 0) })
	for i := range 10 {
		c.set(offset*time.Duration(1-2*(i%2)), 0)
		time.Sleep(100 * time.Millisecond)
	}
	return proveSkew(f, n)
}

// --- members -------------------------------------------------------------------

func memberKinds() []kind {
	return []kind{
		{name: "member-replace", touches: members | processes | leaders, inject: func(f *fault) error {
			n := f.apart(1)[0]
			f.begin([]*clustertest.Node{n}, "it is removed while it runs, and replaced")
			f.heal(f.world.expectEnd(n.ID))
			return replaceNode(f, n)
		}},
		{name: "member-lost-disk", touches: members | processes | leaders, inject: loseDisk},
		{name: "hand-over", touches: leaders, inject: handOver},
		// A node is away until the others have gone on, so they must be able to: with
		// their leader cut off until they have another, each would wait for the other.
		{name: "snapshot-install", touches: processes | network | leaders, inject: installSnapshot, possible: func(p Plan) bool { return p.ShortLogs }},
	}
}

// replaceNode removes a member and lets a new one join.
func replaceNode(f *fault, old *clustertest.Node) error {
	err := f.await(old.ID+" is removed", func() bool {
		rest := f.others(old)
		through := rest[f.random.IntN(len(rest))]
		through.RemoveMember(old.ID)
		_, present := through.Member(old.ID)
		return len(through.Status().Members) > 0 && !present
	})
	if err != nil {
		return err
	}
	old.Crash()
	n := f.world.replaceMember(old.ID)
	f.heal(func() { f.world.mustStart(n) })
	f.world.mustStart(n)
	err = f.await(n.ID+" votes", func() bool {
		rest := f.others(n)
		through := rest[f.random.IntN(len(rest))]
		// Nodes show what their logs hold, committed or not: the removal may have
		// been taken back by another leader. Before the newcomer it was committed.
		if _, present := through.Member(old.ID); present {
			through.RemoveMember(old.ID)
			return false
		}
		member, present := through.Member(n.ID)
		return present && member.Voter
	})
	f.prove("%s votes instead of %s", n.ID, old.ID)
	return err
}

// loseDisk starts a node with its old ID and an empty disk, which the others must
// refuse: it may have forgotten votes and changes.
func loseDisk(f *fault) error {
	n := f.apart(1)[0]
	f.begin([]*clustertest.Node{n}, "it comes back under its ID with an empty disk")
	done := f.world.expectEnd(n.ID)
	f.heal(done)
	n.Wipe()
	f.world.healDisk(n)
	join := f.world.peers(n.ID)
	n.Configure(func(config *node.Config) { config.InitialCluster, config.Join = nil, join })
	if err := n.TryStart(); err != nil && !errors.Is(err, node.ErrNotAdmitted) {
		return err
	}
	if err := f.await("it is refused", func() bool { return n.Failure() != nil }); err != nil {
		if ok, _ := n.Ready("member"); ok {
			f.world.violation("%s lost its disk and was let in under its old ID", n.ID)
		}
		return err
	}
	if failure := n.Failure(); !errors.Is(failure, node.ErrNotAdmitted) {
		return fmt.Errorf("it ended itself because of something else: %w", failure)
	}
	f.prove("it was refused")
	return replaceNode(f, n)
}

func handOver(f *fault) error {
	leader, err := f.leader()
	if err != nil {
		return err
	}
	f.begin([]*clustertest.Node{leader}, "it is asked to hand over leadership")
	return f.await("another leader", func() bool {
		leader.TransferLeadership("")
		now := f.world.leader()
		if now != nil && now != leader {
			f.prove("%s leads instead of %s", now.ID, leader.ID)
			return true
		}
		return false
	})
}

// installSnapshot keeps a node away until the log of the others begins after what
// it has.
func installSnapshot(f *fault) error {
	n := f.one()
	f.begin([]*clustertest.Node{n}, "it is away until the others have compacted what it lacks")
	f.heal(func() { f.world.mustStart(n) })
	n.Crash()
	_, last, _ := n.Disk().Extent()
	err := f.await("the others compact", func() bool {
		for _, other := range f.others(n) {
			if first, _, _ := other.Disk().Extent(); first <= last {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	f.world.mustStart(n)
	err = f.await("a snapshot is installed", func() bool {
		_, _, snapshot := n.Disk().Extent()
		return snapshot > last
	})
	f.prove("%s had entries up to %d and was given a snapshot", n.ID, last)
	return err
}

func (l link) String() string { return strings.Join([]string{l.from, l.to}, "->") }
