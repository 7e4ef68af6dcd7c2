package identity_test

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"tally/counter"
	"tally/identity"
)

const appID = 1400000000

func userSigVerifier(t testing.TB) *identity.UserSigVerifier {
	t.Helper()
	v, err := identity.NewUserSigVerifier(identity.UserSigConfig{
		Key: secret(t), AppID: appID, Admins: []string{"administrator", "ops"}, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// userSigFields are those of a good UserSig, with changes: nil takes one out.
func userSigFields(changes map[string]any) map[string]any {
	fields := map[string]any{
		"TLS.ver": "2.0", "TLS.identifier": "administrator", "TLS.sdkappid": appID,
		"TLS.time": now.Add(-time.Minute).Unix(), "TLS.expire": 3600,
	}
	for name, value := range changes {
		if fields[name] = value; value == nil {
			delete(fields, name)
		}
	}
	return fields
}

// userSig signs the fields and packs them, written after the scheme's
// description and apart from the code that is tested.
func userSig(t testing.TB, key string, fields map[string]any) string {
	t.Helper()
	lines := ""
	for _, name := range []string{"TLS.identifier", "TLS.sdkappid", "TLS.time", "TLS.expire", "TLS.userbuf"} {
		if value, given := fields[name]; given {
			lines += fmt.Sprintf("%s:%v\n", name, value)
		}
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(lines))
	if _, given := fields["TLS.sig"]; !given {
		fields["TLS.sig"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	document, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return packed(t, document)
}

func packed(t testing.TB, document []byte) string {
	t.Helper()
	var compressed bytes.Buffer
	w := zlib.NewWriter(&compressed)
	if _, err := w.Write(document); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("+", "*", "/", "-", "=", "_").Replace(base64.StdEncoding.EncodeToString(compressed.Bytes()))
}

func query(user, signature string) url.Values {
	return url.Values{"sdkappid": {fmt.Sprint(appID)}, "identifier": {user}, "usersig": {signature}, "random": {"7"}, "contenttype": {"json"}}
}

func TestUserSigIsAccepted(t *testing.T) {
	v := userSigVerifier(t)
	for name, changes := range map[string]map[string]any{
		"plain":         nil,
		"other admin":   {"TLS.identifier": "ops"},
		"with userbuf":  {"TLS.userbuf": "AAhhYmM="},
		"last second":   {"TLS.time": now.Add(-time.Hour + time.Second).Unix()},
		"clock behind":  {"TLS.time": now.Add(identity.Leeway).Unix()},
		"unknown field": {"TLS.extra": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			fields := userSigFields(changes)
			user := fields["TLS.identifier"].(string)
			p, err := v.Authenticate(query(user, userSig(t, secretText, fields)))
			want := identity.Principal{User: user, Role: identity.RoleService, Expires: time.Unix(fields["TLS.time"].(int64)+3600, 0)}
			if err != nil || p != want {
				t.Fatalf("got %+v, %v; want %+v", p, err, want)
			}
		})
	}
}

func TestUserSigIsRefused(t *testing.T) {
	v := userSigVerifier(t)
	good := userSig(t, secretText, userSigFields(nil))
	signed := func(changes map[string]any) url.Values {
		return query("administrator", userSig(t, secretText, userSigFields(changes)))
	}
	with := func(name string, values ...string) url.Values {
		q := query("administrator", good)
		q[name] = values
		return q
	}
	bomb := packed(t, append([]byte(`{"TLS.ver":"`), bytes.Repeat([]byte("0"), 1<<20)...))
	if len(bomb) > identity.UserSigBytesMax {
		t.Fatalf("a bomb of %d bytes proves nothing", len(bomb))
	}
	for name, c := range map[string]struct {
		query url.Values
		code  counter.Code
		param string
	}{
		"no sdkappid":         {with("sdkappid"), counter.Unauthenticated, "sdkappid"},
		"other sdkappid":      {with("sdkappid", "1400000001"), counter.Unauthenticated, "sdkappid"},
		"no identifier":       {with("identifier"), counter.Unauthenticated, "identifier"},
		"no usersig":          {with("usersig", ""), counter.Unauthenticated, "usersig"},
		"two usersigs":        {with("usersig", good, good), counter.Unauthenticated, "usersig"},
		"other identifier":    {with("identifier", "ops"), counter.Unauthenticated, "identifier"},
		"not base64":          {with("usersig", good[1:]), counter.Unauthenticated, "usersig"},
		"ordinary base64":     {with("usersig", strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(good)), counter.Unauthenticated, "usersig"},
		"cut short":           {with("usersig", good[:len(good)/8*4]), counter.Unauthenticated, "usersig"},
		"too long":            {with("usersig", good+strings.Repeat("A", identity.UserSigBytesMax)), counter.Unauthenticated, "usersig"},
		"bomb":                {with("usersig", bomb), counter.Unauthenticated, "usersig"},
		"no JSON":             {with("usersig", packed(t, []byte("TLS"))), counter.Unauthenticated, "usersig"},
		"other key":           {query("administrator", userSig(t, secretText+"x", userSigFields(nil))), counter.Unauthenticated, "usersig"},
		"no signature":        {signed(map[string]any{"TLS.sig": ""}), counter.Unauthenticated, "usersig"},
		"signed app replaced": {signed(map[string]any{"TLS.sdkappid": 1400000001}), counter.Unauthenticated, "sdkappid"},
		"expired":             {signed(map[string]any{"TLS.time": now.Add(-time.Hour).Unix()}), counter.Unauthenticated, "usersig"},
		"not yet":             {signed(map[string]any{"TLS.time": now.Add(identity.Leeway + time.Second).Unix()}), counter.Unauthenticated, "usersig"},
		"for ever":            {signed(map[string]any{"TLS.expire": int64(1<<63 - 1)}), counter.Unauthenticated, "usersig"},
		"times add up to 0":   {signed(map[string]any{"TLS.expire": -3600}), counter.Unauthenticated, "usersig"},
		"other version":       {signed(map[string]any{"TLS.ver": "1.0"}), counter.Unauthenticated, "usersig"},
		"end user":            {query("ann", userSig(t, secretText, userSigFields(map[string]any{"TLS.identifier": "ann"}))), counter.Forbidden, "identifier"},
		"line end in a name":  {query("a\nb", userSig(t, secretText, userSigFields(map[string]any{"TLS.identifier": "a\nb"}))), counter.Unauthenticated, "identifier"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := v.Authenticate(c.query)
			var refusal *counter.Error
			if !errors.As(err, &refusal) || refusal.Code != c.code || refusal.Param != c.param || p != (identity.Principal{}) {
				t.Fatalf("got %+v, %v (%+v); want %s of %s", p, err, refusal, c.code, c.param)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, v, v), secretText) {
				t.Fatal("the secret is shown")
			}
		})
	}
}

func TestUserSigVerifierNeedsAll(t *testing.T) {
	good := identity.UserSigConfig{Key: secret(t), AppID: appID, Admins: []string{"administrator"}}
	for name, spoil := range map[string]func(*identity.UserSigConfig){
		"no key":        func(c *identity.UserSigConfig) { c.Key = identity.Key{} },
		"public key":    func(c *identity.UserSigConfig) { c.Key = ed25519Pair(t).public[0] },
		"no app":        func(c *identity.UserSigConfig) { c.AppID = 0 },
		"no admin":      func(c *identity.UserSigConfig) { c.Admins = nil },
		"nameless":      func(c *identity.UserSigConfig) { c.Admins = []string{""} },
		"nothing wrong": nil,
	} {
		config := good
		if spoil != nil {
			spoil(&config)
		}
		if _, err := identity.NewUserSigVerifier(config); (err == nil) != (spoil == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is sent as a UserSig, nobody is let in but with one that was signed,
// and nothing panics or takes long.
func FuzzUserSig(f *testing.F) {
	v := userSigVerifier(f)
	good := userSigFields(nil)
	text := userSig(f, secretText, good)
	f.Add(text)
	f.Add(userSig(f, "another key, as long as that of HS256 has to be", userSigFields(nil)))
	f.Add(packed(f, []byte(`{"TLS.ver":"2.0","TLS.sig":""}`)))
	f.Add(packed(f, bytes.Repeat([]byte("{"), 9<<10)))
	f.Add("eJw*")
	f.Fuzz(func(t *testing.T, signature string) {
		p, err := v.Authenticate(query("administrator", signature))
		if err == nil && p.Expires.Unix() != good["TLS.time"].(int64)+3600 {
			t.Fatalf("%q lets %+v in", signature, p)
		}
		var refusal *counter.Error
		if err != nil && (!errors.As(err, &refusal) || refusal.Code != counter.Unauthenticated) {
			t.Fatal(err)
		}
	})
}
