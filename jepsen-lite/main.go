//go:build linux

// Command jepsen-lite finds out whether a cluster of Tally keeps its promises
// while everything around it breaks. It starts real nodes, lets clients work on
// each of them, makes faults and heals them, reads everything from every node,
// and decides from what was written down.
//
//	go run ./jepsen-lite --time 5m --seed 7
//
// Exit codes: 0 the run is valid, 1 it is invalid, 2 nobody knows, because the run
// could not be made, was broken off, or has shown too little. (go run turns both
// into 1; build the program to tell them apart.)
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"tally/jepsen-lite/proc"
)

// The exit codes.
const (
	exitValid   = 0
	exitInvalid = 1
	exitUnknown = 2
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == proc.FreezeCommand {
		if err := proc.HoldFrozen(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "jepsen-lite:", err)
			os.Exit(exitUnknown)
		}
		return
	}
	code, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "jepsen-lite:", err)
	}
	os.Exit(code)
}

// envFolder tells the program that runs in namespaces where the run's folder is.
const envFolder = "JEPSEN_LITE_FOLDER"

// start prepares what needs the whole machine, such as building tallyd, and then
// lets the run take place in namespaces of its own if the system allows it.
func start() (code int, err error) {
	s, err := parseSettings(os.Args[1:])
	if errors.Is(err, errHelp) {
		return exitValid, nil
	}
	if err != nil {
		return exitUnknown, err
	}
	if s.List {
		listKinds()
		return exitValid, nil
	}
	if s.Check != "" {
		return recheck(s.Check)
	}
	if s.EDN != "" {
		if err := exportEDN(s.EDN); err != nil {
			return exitUnknown, err
		}
		return exitValid, nil
	}
	if proc.Isolated() {
		return run(s, os.Getenv(envFolder), "")
	}
	folder, err := prepare(s)
	if err != nil {
		return exitUnknown, err
	}
	code, err = proc.Isolate(envFolder + "=" + folder)
	if errors.Is(err, proc.ErrNoIsolation) {
		return run(s, folder, err.Error())
	}
	return code, err
}

// prepare removes what earlier runs left, makes the run's folder and puts the
// program under test into it.
func prepare(s settings) (folder string, err error) {
	found, err := proc.RemoveLeftovers(s.Out)
	for _, what := range found {
		fmt.Println("left by an earlier run, removed:", what)
	}
	if err != nil {
		return "", fmt.Errorf("remove what an earlier run left: %w", err)
	}
	name := fmt.Sprintf("%s%s-seed-%d", proc.RunPrefix, time.Now().Format("20060102-150405"), s.Seed)
	if folder, err = filepath.Abs(filepath.Join(s.Out, name)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(s.Out, 0o755); err != nil {
		return "", err
	}
	if err := os.Mkdir(folder, 0o755); err != nil { // never into a folder of another run
		return "", err
	}
	return folder, putBinary(s, folder)
}

// stopOnSignal returns a context that ends with the first signal. More of them
// change nothing: healing is bounded in time and must come to its end.
func stopOnSignal() (context.Context, func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		for s := range signals {
			cancel(fmt.Errorf("signal: %v", s))
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}
