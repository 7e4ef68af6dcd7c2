package cluster_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
	"tally/internal/clustertest"
	"tally/node"
)

var limitSchedules = flag.Int("limit-schedules", 12, "how many random schedules of calls and faults to hold against the call limit")

// Users who call as often as they can, on whichever nodes, while leaders are
// killed, stopped, cut off and replaced, and one clock is wrong: the log has no
// 21 mutations of one user within 5 s of the leaders' stamps, and nobody was
// refused who had fewer than 20 calls that could count.
func TestLimitHoldsUnderRandomFaults(t *testing.T) {
	var all limitFigures
	t.Run("schedules", func(t *testing.T) {
		for seed := range *limitSchedules {
			t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
				t.Parallel()
				s := limitSchedule{seed: uint64(seed)}
				s.run(t)
				for _, wrong := range s.wrong() {
					t.Error(wrong)
				}
				all.add(&s)
			})
		}
	})
	t.Logf("%d schedules with %d leaderships after the first: %d calls admitted, %d refused, %d definite failures, %d of unknown outcome; %d windows of a user were full",
		*limitSchedules, all.leaderships, all.admitted, all.refused, all.failed, all.unknown, all.full)
	if all.admitted < 50**limitSchedules || all.refused < 20**limitSchedules || all.leaderships < *limitSchedules || all.full < *limitSchedules {
		t.Error("the schedules show little")
	}
}

// The judgement is worth something: it notices a limit that is one too high,
// one that is one too low, a window that is too short, and one too long.
func TestScheduleNoticesAWrongLimit(t *testing.T) {
	for name, change := range map[string]func(*node.Config){
		"21 calls": func(config *node.Config) { config.UserMutationsMax = callsMax + 1 },
		"19 calls": func(config *node.Config) { config.UserMutationsMax = callsMax - 1 },
		"4 s":      func(config *node.Config) { config.UserCallsWindow = callsWindow - time.Second },
		"6 s":      func(config *node.Config) { config.UserCallsWindow = callsWindow + time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			s := limitSchedule{seed: 3, change: change}
			s.run(t)
			if len(s.wrong()) == 0 {
				t.Error("nothing was noticed")
			}
		})
	}
}

// limitSchedule is users who call while one fault follows another.
type limitSchedule struct {
	seed   uint64
	change func(*node.Config)

	mu    sync.Mutex
	calls []*limitCall
	log   map[string][]limitEntry // the users' entries in the order of the log
	terms []time.Time             // when they began, by their stamps

	leaderships int
}

// limitCall is one call and how it ended.
type limitCall struct {
	user, id       string
	sent, answered time.Time
	reply          clustertest.Reply
}

// limitEntry is a mutation in the log.
type limitEntry struct {
	id   string // of the call
	atMs int64  // its stamp
}

const limitScheduleUsers = 3

func (s *limitSchedule) run(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Stopped: true, Configure: s.configure}, func(t *testing.T, c *clustertest.Cluster) {
		random := rand.New(rand.NewPCG(s.seed, 1<<32))
		off := giveClock(c.Nodes()[random.IntN(3)])
		off.set(wrongClock(random))
		startAll(c)

		stop := make(chan struct{})
		var clients sync.WaitGroup
		for i := range limitScheduleUsers {
			random := rand.New(rand.NewPCG(s.seed, uint64(i)))
			clients.Go(func() { s.client(c, fmt.Sprint("user", i), random, stop) })
		}
		for range 5 {
			time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
			s.fault(c, random)
			if random.IntN(2) == 0 {
				off.set(wrongClock(random))
			}
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
			c.Heal()
			for _, n := range c.Nodes() {
				if !n.Running() {
					n.Start()
				}
			}
		}
		close(stop)
		clients.Wait()
		c.WaitAgree()
		s.leaderships = int(c.WaitLeader().Status().Term) - 2 // the first leader's term is 2
		s.readLog(t, c)
	})
}

func (s *limitSchedule) configure(config *node.Config) {
	config.RequestTimeout = 2 * time.Second
	if s.change != nil {
		s.change(config)
	}
}

// wrongClock is how far a clock is off: not at all, or by more than what passes for right.
func wrongClock(random *rand.Rand) time.Duration {
	return time.Duration(random.IntN(3)-1) * (10*time.Second + time.Duration(random.Int64N(int64(time.Hour))))
}

// fault lets something happen, mostly to the leader; the run mends it.
func (s *limitSchedule) fault(c *clustertest.Cluster, random *rand.Rand) {
	victim := c.Nodes()[random.IntN(3)]
	leader := c.Leader()
	if leader == nil {
		leader = victim
	}
	faults := []func(){
		leader.Crash,
		leader.Crash,
		leader.Restart,
		victim.Restart,
		func() { powerOff(c) },
		func() { _ = leader.Close() },
		func() { c.Isolate(leader) },
		func() { c.Cut(leader, c.Others(leader)[0]) },
		func() { c.Cut(c.Others(leader)[0], leader) },
		func() { c.Reset(leader, c.Others(leader)[0]) },
		func() { victim.TransferLeadership("") },
	}
	faults[random.IntN(len(faults))]()
}

// client calls in bursts, through any node: one call after the other, two with
// one key, or many at once. After some refusals it waits as long as it was told.
func (s *limitSchedule) client(c *clustertest.Cluster, user string, random *rand.Rand, stop <-chan struct{}) {
	for {
		header := map[string]string{"X-Tally-User": user}
		copies := 1
		switch random.IntN(16) {
		case 0, 1:
			header["Idempotency-Key"], copies = newKey(time.Now()), 2
		case 2:
			copies = 1 + random.IntN(2*callsMax)
		}
		replies := make([]clustertest.Reply, copies)
		var sending sync.WaitGroup
		for i := range replies {
			n, header := c.Nodes()[random.IntN(3)], maps.Clone(header)
			sending.Go(func() { replies[i] = s.call(n, user, header) })
		}
		sending.Wait()
		pause := time.Duration(random.IntN(60)) * time.Millisecond
		if replies[0].Code == counter.RateLimited {
			pause = time.Duration(random.IntN(400)) * time.Millisecond
			if wait, err := strconv.Atoi(replies[0].Header.Get("Retry-After")); err == nil && random.IntN(15) == 0 {
				pause = time.Duration(wait) * time.Second
			}
		}
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
	}
}

// call makes one call, which the log will know by its request ID.
func (s *limitSchedule) call(n *clustertest.Node, user string, header map[string]string) clustertest.Reply {
	s.mu.Lock()
	made := &limitCall{user: user, id: fmt.Sprint("call-", len(s.calls))}
	s.calls = append(s.calls, made)
	s.mu.Unlock()
	header["X-Request-Id"] = made.id
	made.sent = time.Now()
	made.reply = attemptAs(n, header, 1)
	made.answered = time.Now()
	return made.reply
}

// readLog reads what the disk of a node has, which ends all of them.
func (s *limitSchedule) readLog(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	powerOff(c)
	log := c.Nodes()[0].Disk().Open().Log
	first, err := log.FirstIndex()
	if err != nil || first != 1 {
		t.Fatalf("the log begins at %d, %v", first, err)
	}
	last, err := log.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	s.log = map[string][]limitEntry{}
	for index := first; index <= last; index++ {
		var entry raft.Log
		if err := log.GetLog(index, &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Type != raft.LogCommand {
			continue
		}
		command, err := fsm.DecodeCommand(entry.Data)
		if err != nil {
			t.Fatal(err)
		}
		if command.Type == fsm.TypeTerm {
			s.terms = append(s.terms, time.UnixMilli(command.TimeMs))
		} else if m := &command.Mutation; m.Limited {
			s.log[m.User] = append(s.log[m.User], limitEntry{m.RequestID, command.TimeMs})
		}
	}
}

// wrong says what is wrong with the run.
func (s *limitSchedule) wrong() []string {
	var wrong []string
	for user := range s.log {
		if found := s.overrun(user); found != "" {
			wrong = append(wrong, found)
		}
	}
	logged := map[string]bool{}
	for _, entries := range s.log {
		for _, e := range entries {
			logged[e.id] = true
		}
	}
	for _, call := range s.calls {
		if call.reply.OK() && !call.reply.Replayed && !logged[call.id] {
			wrong = append(wrong, fmt.Sprintf("%s of %s was acknowledged and is not in the log", call.id, call.user))
		}
		if call.reply.Code != counter.RateLimited {
			continue
		}
		if logged[call.id] {
			wrong = append(wrong, fmt.Sprintf("%s of %s was refused and is in the log", call.id, call.user))
		}
		if could := s.couldCount(call, logged); could < callsMax {
			wrong = append(wrong, fmt.Sprintf("%s of %s, from %d to %d: %s; %d calls could count, the stamps of all are %v",
				call.id, call.user, call.sent.UnixMilli(), call.answered.UnixMilli(), call.reply.Detail, could, s.stamps(call.user)))
		}
	}
	return wrong
}

// overrun looks for 21 stamps of the user within one window.
func (s *limitSchedule) overrun(user string) string {
	stamps := s.stamps(user)
	for i := callsMax; i < len(stamps); i++ {
		if width := stamps[i] - stamps[i-callsMax]; width < callsWindow.Milliseconds() {
			return fmt.Sprintf("%s has %d calls within %d ms", user, callsMax+1, width+1)
		}
	}
	return ""
}

func (s *limitSchedule) stamps(user string) []int64 {
	var stamps []int64
	for _, e := range s.log[user] {
		stamps = append(stamps, e.atMs)
	}
	slices.Sort(stamps)
	return stamps
}

// stampsOff is how far stamps may be from the true time, although no more than
// one clock is wrong: half of what an exchange of clocks takes at most, and a
// millisecond for each term.
const stampsOff = 450 * time.Millisecond

// couldCount returns how many calls of the same user counted when the leader
// refused the call, at most: those in the log by their stamps, and of the
// others, which were lost or given back, all that the leader may have thought of
// as on their way.
//
// When that was by the leader's clock is known to the millisecond if the call
// that has to leave the window first is in the log, because the refusal says
// when that is.
func (s *limitSchedule) couldCount(refused *limitCall, logged map[string]bool) int {
	lost := s.couldBeOpen(refused, logged)
	stamps := s.stamps(refused.user)
	earliest, latest := refused.sent.Add(-stampsOff).UnixMilli(), refused.answered.Add(stampsOff).UnixMilli()
	most := 0
	for _, first := range stamps {
		if at := first + (callsWindow - retryAfter(refused.reply)).Milliseconds(); at >= earliest && at <= latest {
			most = max(most, between(stamps, first, at)+lost+s.repeatedLater(refused, at))
		}
	}
	if lost > 0 {
		most = max(most, between(stamps, earliest-callsWindow.Milliseconds(), latest)+lost+s.repeatedLater(refused, latest))
	}
	return most
}

// retryAfter is when a refused call would be admitted. The header has no
// fractions of seconds; what people are told has.
func retryAfter(reply clustertest.Reply) time.Duration {
	words := strings.Fields(reply.Detail)
	if len(words) == 0 {
		return 0
	}
	d, _ := time.ParseDuration(words[len(words)-1])
	return d
}

// between returns how many stamps are of this time.
func between(stamps []int64, from, to int64) int {
	count := 0
	for _, at := range stamps {
		if from <= at && at <= to {
			count++
		}
	}
	return count
}

// repeatedLater counts the calls that were on their way when the leader refused
// the call at the given time, and are in the log with a later stamp: that leader
// may have admitted them too, before the library refused them and their nodes
// tried again.
func (s *limitSchedule) repeatedLater(refused *limitCall, atMs int64) int {
	sent := map[string]time.Time{}
	for _, call := range s.calls {
		sent[call.id] = call.sent
	}
	count := 0
	for _, e := range s.log[refused.user] {
		if e.atMs > atMs && !sent[e.id].After(refused.answered) {
			count++
		}
	}
	return count
}

// couldBeOpen counts the calls that never came into the log and that the leader
// may have counted when it refused the call: what was lost counts until a window
// has passed, or another term has begun.
func (s *limitSchedule) couldBeOpen(refused *limitCall, logged map[string]bool) int {
	count := 0
	for _, call := range s.calls {
		reachedNobody := call.reply.Status == 0 && call.reply.Definite
		if call.user != refused.user || logged[call.id] || reachedNobody || call.reply.Code == counter.RateLimited || call.reply.Replayed {
			continue
		}
		until := call.answered
		if !call.reply.Definite {
			until = until.Add(callsWindow)
		}
		lost := slices.ContainsFunc(s.terms, func(began time.Time) bool {
			return began.After(call.answered.Add(stampsOff)) && began.Before(refused.sent.Add(-stampsOff))
		})
		if !lost && call.sent.Before(refused.answered) && until.After(refused.sent) {
			count++
		}
	}
	return count
}

// limitFigures tell how much was tried.
type limitFigures struct {
	mu sync.Mutex

	admitted, refused, failed, unknown int
	full                               int // how often the window of a user became full
	leaderships                        int
}

func (f *limitFigures) add(s *limitSchedule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaderships += s.leaderships
	for _, call := range s.calls {
		switch {
		case call.reply.OK():
			f.admitted++
		case call.reply.Code == counter.RateLimited:
			f.refused++
		case call.reply.Definite:
			f.failed++
		default:
			f.unknown++
		}
	}
	for user := range s.log {
		stamps := s.stamps(user)
		for i := callsMax - 1; i < len(stamps); i++ {
			if stamps[i]-stamps[i-callsMax+1] < callsWindow.Milliseconds() {
				f.full++
			}
		}
	}
}
