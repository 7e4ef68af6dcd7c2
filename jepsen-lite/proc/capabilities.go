//go:build linux

package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Capability is something that faults need and that not every system allows.
type Capability string

// The capabilities.
const (
	// Namespaces are a network for the run alone, and packets that can be dropped in it.
	Namespaces Capability = "network namespaces and nftables"
	// Disks are file systems of their own that can be shut down and frozen.
	Disks Capability = "ext4 on loop devices"
)

// Capabilities is what was tried here and did not work, with the reason.
type Capabilities struct {
	Missing map[Capability]string `json:"missing"`
}

// Has says whether something works here.
func (c Capabilities) Has(what Capability) bool { return c.Missing[what] == "" }

// Namespaces says whether the run has a network of its own.
func (c Capabilities) Namespaces() bool { return c.Has(Namespaces) }

// Disks says whether machines have file systems of their own.
func (c Capabilities) Disks() bool { return c.Has(Disks) }

// Probe tries everything once, in a folder that it makes and removes.
func Probe(dir string) Capabilities {
	found := Capabilities{Missing: map[Capability]string{}}
	for what, try := range map[Capability]func(string) error{Namespaces: tryNamespaces, Disks: tryDisks} {
		if err := try(dir); err != nil {
			found.Missing[what] = err.Error()
		}
	}
	return found
}

var errNotIsolated = errors.New("the run has no network and mount namespace of its own, which takes root")

func tryNamespaces(string) error {
	if !Isolated() {
		return errNotIsolated
	}
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w (Debian packages iproute2 and nftables)", err)
		}
	}
	t, err := startThread(true)
	if err != nil {
		return err
	}
	defer t.close()
	f, err := openFirewall(t)
	if err != nil {
		return err
	}
	t.do(func() {
		err = errors.Join(
			run("ip", "link", "add", "try0", "type", "bridge"),
			run("ip", "link", "add", "try1", "type", "veth", "peer", "name", "try2"),
		)
	})
	return errors.Join(err,
		f.add("try", "in", "ip saddr 10.77.0.1 numgen random mod 100 < 30", "drop"),
		f.add("try", "in", "ip saddr 10.77.0.1 tcp flags & rst == 0x0", "reject with tcp reset"),
		f.add("try", "detour", "ip daddr 10.77.0.1 tcp dport 9101", "dnat ip to 10.77.0.1:9102"),
	)
}

func tryDisks(dir string) (err error) {
	if !Isolated() {
		return errNotIsolated
	}
	if dir, err = os.MkdirTemp(dir, "try-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := openDisk(dir, "disk", 16<<20)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	freeze, err := d.Freeze()
	if err != nil {
		return err
	}
	if err := freeze.Thaw(); err != nil {
		return err
	}
	if err := d.Lose(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.Root(), "after"), []byte("x"), 0o644); err == nil {
		return errors.New("a file system that was shut down still takes writes")
	}
	return errors.Join(d.Unmount(), d.Mount())
}
