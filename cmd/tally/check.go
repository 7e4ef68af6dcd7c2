package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tally/client"
)

// The exit codes of monitoring plugins, as Nagios defined them and others took over.
const (
	checkOK       = 0
	checkWarning  = 1
	checkCritical = 2
	checkUnknown  = 3
)

const checkName = "check"

func isCheck(c *cobra.Command) bool { return c != nil && c.Name() == checkName }

// checkFailed ends check where it could not look: what nobody can see may be
// down, but a mistake in the arguments says nothing of the cluster.
func (p *program) checkFailed(err error, e explanation) int {
	if code := exitError(0); errors.As(err, &code) {
		return int(code)
	}
	word, code := "UNKNOWN", checkUnknown
	if e.code == exitUnreachable {
		word, code = "CRITICAL", checkCritical
	}
	line, _, _ := strings.Cut(e.text, "\n")
	fmt.Fprintf(p.Stdout, "TALLY %s - %s\n", word, line)
	return code
}

// checking are the flags of check.
type checking struct {
	warnLag, criticalLag uint64
	probe                string
	warnProbe            time.Duration
}

func (p *program) checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   checkName,
		Short: "Check the cluster for a monitoring system",
		Long: `Check the cluster and print one line, with performance data behind a bar, for Nagios, Icinga,
Checkmk, Zabbix or a shell script.

Exit codes:
  0  OK        a leader, every member answers, all agree
  1  WARNING   a member does not answer or is behind; everything works
  2  CRITICAL  no node answers, no leader, too few voters, members disagree, or a probe failed
  3  UNKNOWN   it could not be found out: wrong arguments, or no permission

--probe also makes a change and reads it back: it increases the counter "probe" of that group.`,
		Example: `  tally check
  tally check --probe monitoring --warn-probe 500ms
  tally check --endpoints 10.0.0.1:8101 --warn-lag 1000 --critical-lag 100000`,
		Args: arguments(0, 0, "[flags]"),
	}
	var k checking
	c.Flags().Uint64Var(&k.warnLag, "warn-lag", 10_000, "`entries` a member may be behind without a warning")
	c.Flags().Uint64Var(&k.criticalLag, "critical-lag", 1_000_000, "`entries` behind that are critical")
	c.Flags().StringVar(&k.probe, "probe", "", "also count in this `group`")
	c.Flags().DurationVar(&k.warnProbe, "warn-probe", time.Second, "how long the probe may take without a warning")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cluster, err := p.lookAt(c.Context())
		if err != nil {
			return err
		}
		v := k.judge(assess(cluster))
		if k.probe != "" {
			k.count(c, p, &v)
		}
		fmt.Fprintln(p.Stdout, v.line())
		if v.code != checkOK {
			return exitError(v.code)
		}
		return nil
	}
	return c
}

// finding is what a check finds: the worst of what it was told.
type finding struct {
	code        int
	troubles    []string
	sentence    string
	performance []string
}

func (v *finding) trouble(code int, format string, arguments ...any) {
	v.code = max(v.code, code)
	v.troubles = append(v.troubles, fmt.Sprintf(format, arguments...))
}

func (v *finding) line() string {
	word := map[int]string{checkOK: "OK", checkWarning: "WARNING", checkCritical: "CRITICAL"}[v.code]
	// One line, in which the bar begins the performance data.
	text := strings.NewReplacer("\n", " ", "|", "/").Replace(strings.Join(append(v.troubles, v.sentence), "; "))
	return fmt.Sprintf("TALLY %s - %s | %s", word, text, strings.Join(v.performance, " "))
}

func (k *checking) judge(h health) finding {
	v := finding{sentence: h.sentence()}
	if h.leader == "" {
		v.trouble(checkCritical, "there is no leader")
	}
	if h.reachable < h.majority() {
		v.trouble(checkCritical, "too few voters answer")
	}
	if len(h.disagree) > 0 {
		v.trouble(checkCritical, "members disagree")
	}
	if len(h.missing) > 0 {
		v.trouble(checkWarning, "no answer from %s", strings.Join(h.missing, ", "))
	}
	switch {
	case h.lag > k.criticalLag:
		v.trouble(checkCritical, "a member is %d entries behind", h.lag)
	case h.lag > k.warnLag:
		v.trouble(checkWarning, "a member is %d entries behind", h.lag)
	}
	v.performance = []string{
		fmt.Sprintf("voters=%d;;;0;%d", h.reachable, h.voters),
		fmt.Sprintf("lag=%d;%d;%d;0", h.lag, k.warnLag, k.criticalLag),
		fmt.Sprintf("term=%d", h.cluster.Term),
		fmt.Sprintf("committed=%dc", h.committed),
	}
	return v
}

// probeKey is the counter that a probe increases.
const probeKey = "probe"

// count makes a change and reads it back.
func (k *checking) count(c *cobra.Command, p *program, v *finding) {
	begin := time.Now()
	err := p.with(func(calls *client.Client) error {
		result, err := calls.Increase(c.Context(), k.probe, map[string]int64{probeKey: 1})
		if err != nil {
			return err
		}
		made := result.Outcomes[0].Counters[0].Value
		reading, err := calls.Get(c.Context(), k.probe, probeKey)
		if err != nil {
			return err
		}
		// Other probes may have counted since, but nobody decreases it.
		if len(reading.Counters) == 0 || reading.Counters[0].Value < made {
			return fmt.Errorf("%s/%s was increased to %d and then read as %v", k.probe, probeKey, made, reading.Counters)
		}
		return nil
	})
	took := time.Since(begin)
	switch {
	case err != nil:
		v.trouble(checkCritical, "the probe failed: %s", explain(err, false).text)
	case took > k.warnProbe:
		v.trouble(checkWarning, "the probe took %v", took.Round(time.Millisecond))
	}
	v.performance = append(v.performance, fmt.Sprintf("probe=%.6fs;%g;;0", took.Seconds(), k.warnProbe.Seconds()))
}
