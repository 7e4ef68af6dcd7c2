package counter_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"tally/counter"
)

func TestParseUUIDv7(t *testing.T) {
	const good = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f" // the example of RFC 9562, appendix A.6
	id, ok := counter.ParseUUIDv7(good)
	if want := time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC).UnixMilli(); !ok || id.TimeMs() != want {
		t.Errorf("ParseUUIDv7(%s) is of %d, %t, want %d", good, id.TimeMs(), ok, want)
	}
	if upper, ok := counter.ParseUUIDv7(strings.ToUpper(good)); !ok || upper != id {
		t.Errorf("in capitals it is %x, %t, want %x", upper, ok, id)
	}
	for text, want := range map[string]int64{
		"00000000-0000-7000-8000-000000000000": 0,
		"ffffffff-ffff-7fff-bfff-ffffffffffff": 1<<48 - 1,
		"00000000-0001-7000-9000-000000000000": 1,
		"00000001-0000-7000-a000-000000000000": 1 << 16,
	} {
		if id, ok := counter.ParseUUIDv7(text); !ok || id.TimeMs() != want {
			t.Errorf("ParseUUIDv7(%s) is of %d, %t, want %d", text, id.TimeMs(), ok, want)
		}
	}
	for name, text := range map[string]string{
		"empty":              "",
		"version 4":          "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
		"version 8":          "017f22e2-79b0-8cc3-98c4-dc0c0c07398f",
		"variant 0":          "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
		"variant 110":        "017f22e2-79b0-7cc3-d8c4-dc0c0c07398f",
		"no hyphens":         strings.ReplaceAll(good, "-", ""),
		"braces":             "{" + good + "}",
		"a URN":              "urn:uuid:" + good,
		"a space":            good + " ",
		"cut":                good[:35],
		"a hyphen elsewhere": "017f22e-279b0-7cc3-98c4-dc0c0c07398f",
		"a hyphen too many":  "017f22e2-79b0-7cc3-98c4-dc0c0c0-398f",
		"no digit":           "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
		"wide digits":        "017f22e2-79b0-7cc3-98c4-dc0c0c0７8f",
	} {
		if id, ok := counter.ParseUUIDv7(text); ok || id != (counter.UUIDv7{}) {
			t.Errorf("%s: ParseUUIDv7(%q) = %x, %t", name, text, id, ok)
		}
	}
}

func FuzzParseUUIDv7(f *testing.F) {
	f.Add("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
	form := regexp.MustCompile(`\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\z`)
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := counter.ParseUUIDv7(text)
		if ok != form.MatchString(text) {
			t.Fatalf("ParseUUIDv7(%q) = %t", text, ok)
		}
		spelt := fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:])
		if ok && spelt != strings.ToLower(text) {
			t.Fatalf("ParseUUIDv7(%q) = %s", text, spelt)
		}
	})
}
