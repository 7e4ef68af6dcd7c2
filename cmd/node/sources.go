package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const environPrefix = "TALLY_"

// A caller's own token, and the file that has it: what "tally" reads, too.
const (
	tokenVariable     = "TALLY_TOKEN"
	tokenFileVariable = "TALLY_TOKEN_FILE"
)

// otherVariables have the prefix too but are for callers and for the scripts,
// whose environments a node may inherit.
var otherVariables = []string{tokenVariable, tokenFileVariable, "TALLY_ENDPOINTS", "TALLY_USER", "TALLY_CLUSTER_DIR", "TALLY_HTTP_PORT", "TALLY_PEER_PORT", "TALLY_TEST_STRICT"}

// source is one place where settings come from besides the command line.
type source struct {
	values *koanf.Koanf
	where  string                  // begins an error about it
	name   func(key string) string // how a setting is spelled there
}

// resolve completes settings whose flags were parsed already: what no flag
// gives comes from the environment, what that does not give from the file. It
// then checks what concerns more than one source; node.Config.Validate checks
// the values.
func (s *settings) resolve(flags *pflag.FlagSet, environ []string) error {
	given := map[string]bool{}
	// Not flags.Visit: the flags may have been parsed as part of a larger set.
	flags.VisitAll(func(f *pflag.Flag) { given[f.Name] = f.Changed })

	environment, err := readEnvironment(environ)
	if err != nil {
		return err
	}
	if err := environment.apply(flags, given); err != nil {
		return err
	}
	// Only now, since the environment may be what names the file.
	if s.ConfigFile != "" {
		configFile, err := readFile(s.ConfigFile)
		if err != nil {
			return err
		}
		if err := configFile.apply(flags, given); err != nil {
			return err
		}
	}
	return s.check(given)
}

func (s *settings) check(given map[string]bool) error {
	if !s.standsAlone() && !given["node-id"] {
		return errors.New("give --node-id: in a cluster of several nodes each needs a name of its own")
	}
	if !slices.Contains([]string{logFormatAuto, logFormatText, logFormatJSON}, s.LogFormat) {
		return fmt.Errorf("log format %q is unknown; use auto, text or json", s.LogFormat)
	}
	if hclog.LevelFromString(s.LogLevel) == hclog.NoLevel {
		return fmt.Errorf("log level %q is unknown; use trace, debug, info, warn, error or off", s.LogLevel)
	}
	return nil
}

func readEnvironment(environ []string) (source, error) {
	values := koanf.New("\x00") // no nesting: a variable is one key
	err := values.Load(env.Provider("\x00", env.Opt{
		Prefix:      environPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if slices.Contains(otherVariables, name) || isServiceLink(name, value) {
				return "", nil
			}
			return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, environPrefix), "_", "-")), value
		},
	}), nil)
	return source{values: values, where: "environment: ", name: environName}, err
}

// environName returns the environment variable of a setting.
func environName(key string) string {
	return environPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_\w+)$`)

// isServiceLink recognises the variables that Kubernetes sets in every
// container for each service: one called tally would otherwise keep its own
// nodes from starting.
func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) ||
		strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

func readFile(path string) (source, error) {
	values := koanf.New(".")
	if err := values.Load(file.Provider(path), yaml.Parser()); err != nil {
		return source{}, fmt.Errorf("configuration file %s: %w", path, err)
	}
	if values.Exists("config") {
		return source{}, fmt.Errorf("configuration file %s: config: a file cannot name another one", path)
	}
	return source{values: values, where: path + ": ", name: func(key string) string { return key }}, nil
}

// apply hands the source's values to the flags that nothing stronger has given,
// in the one way in which flags parse text, and notes them as given.
func (s source) apply(flags *pflag.FlagSet, given map[string]bool) error {
	for _, key := range s.values.Keys() {
		flag := flags.Lookup(key)
		if flag == nil {
			return fmt.Errorf("%s%s is not a setting%s", s.where, s.name(key), s.didYouMean(key, flags))
		}
		if given[key] {
			continue
		}
		if err := setFlag(flag, s.values.Get(key)); err != nil {
			return fmt.Errorf("%s%s: %w", s.where, s.name(key), err)
		}
		given[key] = true
	}
	return nil
}

func setFlag(flag *pflag.Flag, value any) error {
	switch v := value.(type) {
	case nil:
		return errors.New("has no value; give one or take the key out")
	case []any:
		texts := make([]string, len(v))
		for i := range v {
			texts[i] = fmt.Sprint(v[i])
		}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			return list.Replace(texts)
		}
		if _, ok := flag.Value.(*memberList); !ok {
			return errors.New("is a list; give one value")
		}
		return flag.Value.Set(strings.Join(texts, ","))
	default:
		return flag.Value.Set(fmt.Sprint(v))
	}
}

func (s source) didYouMean(key string, flags *pflag.FlagSet) string {
	if guess := nearestFlag(key, flags); guess != "" {
		return "; did you mean " + s.name(guess) + "?"
	}
	return ""
}

// nearestFlag guesses which flag was meant, or returns "". cobra guesses
// commands; the same guess serves for settings.
func nearestFlag(name string, flags *pflag.FlagSet) string {
	names := cobra.Command{SuggestionsMinimumDistance: 3}
	flags.VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	guesses := names.SuggestionsFor(name)
	if len(guesses) == 0 {
		return ""
	}
	return guesses[0]
}
