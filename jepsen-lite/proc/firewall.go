//go:build linux

package proc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// firewall is the nftables table of one machine. Rules are found again by the
// name in their comment.
type firewall struct{ thread *thread }

const firewallTable = `
table inet jepsen {
	chain in { type filter hook input priority 0; }
	chain detour { type nat hook output priority -100; }
}
`

func openFirewall(t *thread) (*firewall, error) {
	f := &firewall{thread: t}
	_, err := f.nft(firewallTable, "-f", "-")
	return f, err
}

// add appends a rule to a chain, as `match counter verdict`.
func (f *firewall) add(name, chain, match, verdict string) error {
	_, err := f.nft("", fmt.Sprintf("add rule inet jepsen %s %s counter %s comment \"%s\"", chain, match, verdict, name))
	return err
}

// remove deletes the rules of a name.
func (f *firewall) remove(name string) error {
	rules, err := f.rules(name)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if _, err := f.nft("", fmt.Sprintf("delete rule inet jepsen %s handle %d", r.Chain, r.Handle)); err != nil {
			return err
		}
	}
	return nil
}

// packets returns how many packets the rules of a name have met.
func (f *firewall) packets(name string) (int, error) {
	rules, err := f.rules(name)
	sum := 0
	for _, r := range rules {
		sum += r.packets()
	}
	return sum, err
}

// rule is one rule as nft lists it.
type rule struct {
	Chain   string            `json:"chain"`
	Handle  int               `json:"handle"`
	Comment string            `json:"comment"`
	Expr    []json.RawMessage `json:"expr"`
}

func (r rule) packets() int {
	for _, expr := range r.Expr {
		var e struct {
			Counter *struct {
				Packets int `json:"packets"`
			} `json:"counter"`
		}
		if json.Unmarshal(expr, &e) == nil && e.Counter != nil {
			return e.Counter.Packets
		}
	}
	return 0
}

func (f *firewall) rules(name string) ([]rule, error) {
	out, err := f.nft("", "-j", "-a", "list", "table", "inet", "jepsen")
	if err != nil {
		return nil, err
	}
	var listing struct {
		Nftables []struct {
			Rule *rule `json:"rule"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &listing); err != nil {
		return nil, fmt.Errorf("what nft lists: %w", err)
	}
	var found []rule
	for _, entry := range listing.Nftables {
		if entry.Rule != nil && entry.Rule.Comment == name {
			found = append(found, *entry.Rule)
		}
	}
	return found, nil
}

// nft runs nft in the machine's network namespace.
func (f *firewall) nft(input string, args ...string) (out []byte, err error) {
	f.thread.do(func() { out, err = runNFT(input, args...) })
	return out, err
}

func runNFT(input string, args ...string) ([]byte, error) {
	cmd := exec.Command("nft", args...)
	cmd.Stdin = strings.NewReader(input)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.Bytes(), nil
}
