package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"tally/node"
)

// load resolves settings the way the command line does, without running a node.
func load(t *testing.T, args, environ []string) (settings, error) {
	t.Helper()
	s := defaultSettings()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, g := range s.flagGroups() {
		flags.AddFlagSet(g.Flags)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	err := s.resolve(flags, environ)
	return s, err
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tallyd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	storageTimeout := func(s settings) any { return s.Node.StorageTimeout }
	refuseGroups := func(s settings) any { return strings.Join(s.Node.RefuseGroups, " ") }
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		file    string
		value   func(settings) any
		want    any
	}{
		{"default", nil, nil, "", storageTimeout, 2 * time.Second},
		{"file beats default", nil, nil, "storage-timeout: 3s", storageTimeout, 3 * time.Second},
		{"environment beats file", nil, []string{"TALLY_STORAGE_TIMEOUT=4s"}, "storage-timeout: 3s", storageTimeout, 4 * time.Second},
		{"flag beats environment", []string{"--storage-timeout=5s"}, []string{"TALLY_STORAGE_TIMEOUT=4s"}, "storage-timeout: 3s", storageTimeout, 5 * time.Second},
		{"a flag set to its default is set", []string{"--storage-timeout=2s"}, []string{"TALLY_STORAGE_TIMEOUT=4s"}, "", storageTimeout, 2 * time.Second},
		{"lists replace", nil, nil, `refuse-groups: ["a*", "b,c"]`, refuseGroups, "a* b,c"},
		{"lists in the environment have commas", nil, []string{"TALLY_REFUSE_GROUPS=a,b"}, "", refuseGroups, "a b"},
		{"an empty list empties", nil, []string{"TALLY_REFUSE_GROUPS="}, "", refuseGroups, ""},
		{"a repeated flag adds up", []string{"--refuse-groups=a", "--refuse-groups=b"}, []string{"TALLY_REFUSE_GROUPS=c"}, "", refuseGroups, "a b"},
		{"numbers", nil, nil, "trailing-logs: 7", func(s settings) any { return s.Node.TrailingLogs }, uint64(7)},
		{"booleans", nil, []string{"TALLY_INSECURE=true"}, "", func(s settings) any { return s.Node.Insecure }, true},
		{"members as a list", nil, nil, "node-id: n2\ninitial-cluster: [n1=h1:1, n2=h2:2]",
			func(s settings) any { return (*memberList)(&s.Node.InitialCluster).String() }, "n1=h1:1,n2=h2:2"},
		{"other programs' variables", nil, []string{"TALLYHO=1", "PATH=/bin"}, "", storageTimeout, 2 * time.Second},
		{"the scripts' variables", nil, []string{"TALLY_HTTP_PORT=8300", "TALLY_TEST_STRICT=1"}, "", storageTimeout, 2 * time.Second},
		{"a Kubernetes service called tally", nil, []string{
			"TALLY_SERVICE_HOST=10.0.0.1", "TALLY_SERVICE_PORT_HTTP=8101", "TALLY_PORT=tcp://10.0.0.1:8101", "TALLY_PORT_8101_TCP_ADDR=10.0.0.1",
		}, "", storageTimeout, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			environ := test.environ
			if test.file != "" {
				environ = append(environ, "TALLY_CONFIG="+writeConfig(t, test.file))
			}
			s, err := load(t, test.args, environ)
			if err != nil {
				t.Fatal(err)
			}
			if got := test.value(s); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestWrongSources(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    string // part of the error
	}{
		{"unknown variable", nil, []string{"TALLY_NODEID=n1"}, "", "TALLY_NODEID is not a setting; did you mean TALLY_NODE_ID?"},
		{"unknown variable like none", nil, []string{"TALLY_WINDOW_COLOUR=red"}, "", "TALLY_WINDOW_COLOUR is not a setting"},
		{"the help flag is no setting", nil, []string{"TALLY_HELP=true"}, "", "TALLY_HELP is not a setting"},
		{"unknown key", nil, nil, "data-dri: x", "tallyd.yaml: data-dri is not a setting; did you mean data-dir?"},
		{"nested key", nil, nil, "node:\n  id: n1", "tallyd.yaml: node.id is not a setting; did you mean node-id?"},
		{"duplicate key", nil, nil, "node-id: n1\nnode-id: n2", `mapping key "node-id" already defined`},
		{"broken file", nil, nil, "node-id: [n1", "tallyd.yaml: yaml:"},
		{"not a mapping", nil, nil, "- node-id", "tallyd.yaml: yaml:"},
		{"no value", nil, nil, "node-id:", "tallyd.yaml: node-id: has no value"},
		{"list for one value", nil, nil, "node-id: [n1, n2]", "tallyd.yaml: node-id: is a list"},
		{"a file that names a file", nil, nil, "config: other.yaml", "cannot name another"},
		{"missing file", nil, []string{"TALLY_CONFIG=/nowhere/tallyd.yaml"}, "", "configuration file /nowhere/tallyd.yaml"},
		{"duration without unit in the environment", nil, []string{"TALLY_STORAGE_TIMEOUT=5"}, "", "TALLY_STORAGE_TIMEOUT: time: missing unit"},
		{"duration without unit in the file", nil, nil, "storage-timeout: 5", "tallyd.yaml: storage-timeout: time: missing unit"},
		{"negative count", nil, nil, "trailing-logs: -1", "trailing-logs"},
		{"bad member", nil, []string{"TALLY_INITIAL_CLUSTER=n1"}, "", "id=host:port"},
		{"cluster without a node ID", []string{"--initial-cluster=n1=h:1,n2=h:2"}, nil, "", "give --node-id"},
		{"join without a node ID", []string{"--join=h:1"}, nil, "", "give --node-id"},
		{"log format", []string{"--log-format=xml"}, nil, "", "use auto, text or json"},
		{"log level", []string{"--log-level=loud"}, nil, "", "use trace"},
	} {
		t.Run(test.name, func(t *testing.T) {
			environ := test.environ
			if test.file != "" {
				environ = append(environ, "TALLY_CONFIG="+writeConfig(t, test.file))
			}
			_, err := load(t, test.args, environ)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

// The sample configuration is documentation that people copy: it must name
// every setting, each with its real default.
func TestSampleConfiguration(t *testing.T) {
	sample, err := readFile("tallyd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := defaultSettings()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, g := range s.flagGroups() {
		flags.AddFlagSet(g.Flags)
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" && !sample.values.Exists(f.Name) {
			t.Errorf("the sample lacks %s", f.Name)
		}
	})
	want := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) { want[f.Name] = f.Value.String() })
	if err := sample.apply(flags, map[string]bool{}); err != nil {
		t.Fatal(err)
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if got := f.Value.String(); got != want[f.Name] {
			t.Errorf("the sample has %s: %s, the default is %s", f.Name, got, want[f.Name])
		}
	})
}

// Whatever a node can be told, a person can set, but for what a process brings itself.
func TestEveryFieldHasAFlag(t *testing.T) {
	process := map[string]bool{
		"Logger": true, "Metrics": true, "Fatal": true, "Version": true,
		"Observe": true, "Between": true, "AppendEntriesMax": true, "Network": true, "OpenStorage": true, "Clock": true,
	}
	known := map[string]bool{}
	s := defaultSettings()
	for _, g := range s.flagGroups() {
		g.Flags.VisitAll(func(f *pflag.Flag) { known[strings.ReplaceAll(f.Name, "-", "")] = true })
	}
	config := reflect.TypeFor[node.Config]()
	for i := range config.NumField() {
		name := config.Field(i).Name
		flag := strings.TrimSuffix(strings.ToLower(name), "s")
		if !process[name] && !known[flag] && !known[strings.ToLower(name)] {
			t.Errorf("node.Config.%s has no flag", name)
		}
	}
}
