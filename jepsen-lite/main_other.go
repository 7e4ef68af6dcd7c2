//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "jepsen-lite needs Linux: it pauses processes, cuts networks and takes disks away")
	os.Exit(2)
}
