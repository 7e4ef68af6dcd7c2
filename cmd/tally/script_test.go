package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tally/cmd/tally/internal/demo"
	"tally/node"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"tally": main}) }

// TestScripts runs tally as a process, against nodes in this one. What scripts
// have beyond those of testscript:
//
//	cluster              start three nodes and point TALLY_ENDPOINTS at them
//	do ACTION NODE       kill, pause, resume or start one: n1, n2, n3 or leader
//	jwtnode SECRETFILE   start one node that wants tokens, and point TALLY_ENDPOINTS at it
//	code N COMMAND...    run a command that must end with this exit code
//	eventually COMMAND   run a command again and again until it succeeds
//	[hangup]             whether SIGHUP ends anything; not below nohup
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cluster": openCluster, "do": do, "jwtnode": openJWTNode, "code": code, "eventually": eventually,
		},
		Condition: func(name string) (bool, error) {
			if name == "hangup" {
				return !signal.Ignored(syscall.SIGHUP), nil
			}
			return false, fmt.Errorf("there is no condition %s", name)
		},
		RequireUniqueNames: true,
	})
}

// clusters are those of the scripts that run, by their directories.
var clusters sync.Map

func openCluster(ts *testscript.TestScript, _ bool, _ []string) {
	dir := filepath.Join(ts.Getenv("WORK"), "nodes")
	ts.Check(os.MkdirAll(dir, 0o700))
	cluster, err := demo.Open(context.Background(), demo.Config{TempDir: dir, Say: func(string) {}})
	ts.Check(err)
	ts.Defer(func() { ts.Check(cluster.Close()) })
	ts.Setenv("TALLY_ENDPOINTS", strings.Join(cluster.URLs(), ","))
	for i, url := range cluster.URLs() {
		ts.Setenv("N"+strconv.Itoa(i+1), url)
	}
	clusters.Store(ts.Getenv("WORK"), cluster)
}

func do(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: do ACTION NODE")
	}
	found, _ := clusters.Load(ts.Getenv("WORK"))
	cluster := found.(*demo.Cluster)
	id := args[1]
	if id == "leader" {
		id = cluster.Leader()
	}
	switch args[0] {
	case "kill":
		ts.Check(cluster.Kill(id))
	case "pause":
		ts.Check(cluster.Pause(id))
	case "resume":
		ts.Check(cluster.Resume(id))
	case "start":
		ts.Check(cluster.Start(context.Background(), id))
	default:
		ts.Fatalf("unknown action %s", args[0])
	}
}

func openJWTNode(ts *testscript.TestScript, _ bool, args []string) {
	config := node.Default()
	config.DataDir = filepath.Join(ts.Getenv("WORK"), "node")
	config.HTTPAddr, config.PeerAddr = "127.0.0.1:0", "127.0.0.1:0"
	config.Identity = node.IdentityJWT
	config.JWTSecretFile = ts.MkAbs(args[0])
	config.Fatal = func(err error) { panic(err) }
	n, err := node.Open(config)
	ts.Check(err)
	ts.Defer(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		ts.Check(n.Close(ctx))
	})
	ts.Setenv("TALLY_ENDPOINTS", n.HTTPURL())
}

func code(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if ended := new(exec.ExitError); errors.As(err, &ended) {
		got = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func eventually(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for ts.Exec(args[0], args[1:]...) != nil {
		if time.Now().After(deadline) {
			ts.Fatalf("not within 20 s: %v", args)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
