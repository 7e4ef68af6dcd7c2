package clustertest

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tally/node"
	"tally/storage"
	"tally/storage/memdisk"
)

// process is one run of a node.
//
// Nobody can end goroutines from outside, so a crash takes the world away from
// them instead: the network refuses and forgets, the disk answers from an image
// that nobody will see, clients hear nothing more. What is left is then closed
// in good order, unseen.
type process struct {
	machine *Node
	disk    *memdisk.Disk
	network *wire
	life    context.Context // ends with the crash, or when a clean stop is over
	end     context.CancelFunc
	crashed sync.Once

	node     *node.Node     // set by open, read when opened says so
	started  atomic.Bool    // open has succeeded
	stopping atomic.Bool    // somebody closes the node, or has closed it
	stopped  chan struct{}  // closed when the node is closed
	requests sync.WaitGroup // clients' requests in the handler
}

func newProcess(n *Node) *process {
	life, end := context.WithCancel(context.Background())
	return &process{
		machine: n,
		network: &wire{host: n.cluster.network.Host(n.host()), life: life},
		disk:    n.disk,
		life:    life,
		end:     end,
		stopped: make(chan struct{}),
	}
}

func (p *process) openStorage(config storage.Config) (*storage.Store, error) {
	return storage.Assemble(p.disk.Open(), config)
}

// open starts the node. Once it runs, one goroutine waits for its end, however
// it comes, and then until nothing of it is left.
func (p *process) open(config node.Config) error {
	opened, err := node.Open(config)
	if err != nil {
		p.crash(nil)
		return err
	}
	p.node = opened
	p.started.Store(true)
	p.machine.cluster.ended.Go(func() {
		<-p.life.Done()
		_ = p.stop(p.life) // what a dead process has to say nobody hears
		p.requests.Wait()
	})
	return nil
}

func (p *process) opened() bool { return p.started.Load() }

// stop closes the node, or waits until it is closed. Not a sync.Once: a
// goroutine that waits for a mutex keeps the bubble's time from passing.
func (p *process) stop(ctx context.Context) error {
	if p.stopping.Swap(true) {
		<-p.stopped
		return nil
	}
	defer close(p.stopped)
	return p.node.Close(ctx)
}

// crash ends the process as a power loss does. failure is why it ended itself,
// nil if it did not.
func (p *process) crash(failure error) {
	p.crashed.Do(func() {
		p.takeWorldAway()
		p.machine.gone(p, failure)
	})
}

// kill ends the process and leaves the disk as it wrote it.
func (p *process) kill() {
	p.crashed.Do(func() {
		p.end()
		p.disk.Kill()
		p.network.host.Crash()
		p.machine.gone(p, nil)
	})
}

func (p *process) takeWorldAway() {
	p.end()
	p.disk.Crash()
	p.network.host.Crash()
}

// alive says that the process has not crashed: what it does counts.
func (p *process) alive() bool { return p.life.Err() == nil }

// close ends the process as SIGTERM does.
func (p *process) close() error {
	ctx, cancel := context.WithTimeout(p.life, shutdownTimeout)
	defer cancel()
	err := p.stop(ctx)
	p.end()
	p.requests.Wait()
	return err
}

// shutdownTimeout is what tallyd gives a clean stop by default.
const shutdownTimeout = 10 * time.Second

// fatal is the node's Fatal: the process is dead before it returns, and the
// goroutine goes no further, as after os.Exit. Only the goroutine that is still
// opening the node goes on, because nobody else knows what it has opened.
func (p *process) fatal(failure error) {
	p.crash(failure)
	if !within("tally/node.Open") {
		runtime.Goexit()
	}
}

// within says that the function is among the callers of the calling goroutine.
func within(function string) bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, function) {
			return true
		}
		if !more {
			return false
		}
	}
}
