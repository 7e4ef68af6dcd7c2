package counter_test

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tally/counter"
)

// wantCode checks that err has the code, or that there is none when code is "".
func wantCode(t *testing.T, what string, err *counter.Error, code counter.Code) {
	t.Helper()
	switch {
	case code == "" && err != nil:
		t.Errorf("%s: %v, want no error", what, err)
	case code != "" && (err == nil || !errors.Is(err, code)):
		t.Errorf("%s: %v, want %s", what, err, code)
	case err != nil && err.Detail == "":
		t.Errorf("%s: %s comes without a detail", what, err.Code)
	case err != nil && len(err.Detail) > 500:
		t.Errorf("%s: the detail has %d bytes: it repeats what was sent", what, len(err.Detail))
	}
}

func TestCheckKey(t *testing.T) {
	for _, c := range []struct {
		name, key string
		ok        bool
	}{
		{"one letter", "a", true},
		{"odd but good", "a/b %2F?key=.&..\"'\\", true},
		{"dot", ".", true},
		{"two dots", "..", true},
		{"emoji", "😀", true},
		{"a space", " ", true},
		{"128 letters", strings.Repeat("a", 128), true},
		{"128 emoji, 512 bytes", strings.Repeat("😀", 128), true},
		{"empty", "", false},
		{"129 letters", strings.Repeat("a", 129), false},
		{"129 emoji", strings.Repeat("😀", 129), false},
		{"a megabyte", strings.Repeat("a", 1<<20), false},
		{"no UTF-8", "a\xff", false},
		{"half a character", "\xf0\x9f\x98", false},
		{"a surrogate", "\xed\xa0\x80", false},
		{"an overlong slash", "\xc0\xaf", false},
		{"NUL", "a\x00b", false},
		{"newline", "a\n", false},
		{"tab", "\t", false},
		{"delete", "\x7f", false},
		{"a C1 control character", "\u0085", false},
	} {
		want := counter.InvalidKey
		if c.ok {
			want = ""
		}
		wantCode(t, c.name, counter.CheckKey(c.key), want)
	}
}

func TestCheckGroup(t *testing.T) {
	for _, c := range []struct {
		name, group string
		ok          bool
	}{
		{"one letter", "a", true},
		{"slashes and spaces", "room/1 /2", true},
		{"three dots", "...", true},
		{"emoji", "😀", true},
		{"a topic, which is for others to refuse", "@TGS#_@TOPIC#1", true},
		{"128 bytes", strings.Repeat("a", 128), true},
		{"32 emoji, 128 bytes", strings.Repeat("😀", 32), true},
		{"empty", "", false},
		{"129 bytes", strings.Repeat("a", 129), false},
		{"33 emoji, 132 bytes", strings.Repeat("😀", 33), false},
		{"dot", ".", false},
		{"two dots", "..", false},
		{"no UTF-8", "a\xff", false},
		{"NUL", "a\x00b", false},
		{"carriage return", "a\r", false},
		{"delete", "\x7f", false},
		{"a C1 control character", "\u009f", false},
	} {
		want := counter.InvalidGroup
		if c.ok {
			want = ""
		}
		wantCode(t, c.name, counter.CheckGroup(c.group), want)
	}
}

func TestCheckUserAndIdempotencyKey(t *testing.T) {
	for _, c := range []struct {
		name, text   string
		user, idemOK bool
	}{
		{"none", "", true, true},
		{"letters", "ada", true, true},
		{"128 letters", strings.Repeat("a", 128), true, true},
		{"129 letters", strings.Repeat("a", 129), false, false},
		{"128 emoji, 512 bytes", strings.Repeat("😀", 128), false, true},
		{"no UTF-8", "\xff", false, false},
		{"newline", "a\nb", false, false},
		{"NUL", "\x00", false, false},
	} {
		code := func(ok bool) counter.Code {
			if ok {
				return ""
			}
			return counter.InvalidRequest
		}
		wantCode(t, "user: "+c.name, counter.CheckUser(c.text), code(c.user))
		wantCode(t, "idempotency key: "+c.name, counter.CheckIdempotencyKey(c.text), code(c.idemOK))
	}
}

func TestParseValue(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "7": 7, "-7": -7, "10": 10,
		"9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64,
		"9007199254740993": 9007199254740993, // no float64 is this number
	} {
		if got, err := counter.ParseValue(text); err != nil || got != want {
			t.Errorf("ParseValue(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", " 1", "1 ", "1\n", "+1", "-", "--1", "+", "01", "00", "-01", "1.0", "1.", ".5", "1e3", "1E3", "0x10", "0b1", "0o7",
		"1_000", "1,000", "true", "null", "NaN", "Infinity", "ten", "٣", "１", "1\x00", "\xff", "−1",
		"9223372036854775808", "-9223372036854775809", "18446744073709551616", strings.Repeat("9", 1000), strings.Repeat("0", 1000),
	} {
		value, err := counter.ParseValue(text)
		wantCode(t, strconv.Quote(text), err, counter.InvalidValue)
		if value != 0 {
			t.Errorf("ParseValue(%q) = %d beside the error", text, value)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	for _, text := range []string{"0", "-0", "1", "-1", "01", "1.0", "9223372036854775808", "-9223372036854775808"} {
		f.Add(text)
	}
	plain := regexp.MustCompile(`\A-?(0|[1-9][0-9]*)\z`)
	f.Fuzz(func(t *testing.T, text string) {
		got, refusal := counter.ParseValue(text)
		want, err := strconv.ParseInt(text, 10, 64)
		if ok := err == nil && plain.MatchString(text); ok != (refusal == nil) {
			t.Fatalf("ParseValue(%q) = %d, %v", text, got, refusal)
		}
		if refusal == nil && got != want {
			t.Fatalf("ParseValue(%q) = %d, want %d", text, got, want)
		}
	})
}
