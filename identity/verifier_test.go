package identity_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tally/counter"
	"tally/identity"
)

func TestTokensThatAreAccepted(t *testing.T) {
	hour := now.Add(time.Hour)
	rsa, ed := rsaPair(t), ed25519Pair(t)
	all := append(append([]identity.Key{secret(t)}, rsa.public...), ed.public...)
	for _, c := range []struct {
		name   string
		config identity.Config
		token  string
		want   identity.Principal
	}{
		{"no role", identity.Config{}, hs256(t, claims(nil)), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"role user", identity.Config{}, hs256(t, claims(jwt.MapClaims{"role": "user"})), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"role service", identity.Config{}, hs256(t, claims(jwt.MapClaims{"role": "service"})), identity.Principal{User: "ann", Role: identity.RoleService, Expires: hour}},
		{"role admin", identity.Config{}, hs256(t, claims(jwt.MapClaims{"role": "admin"})), identity.Principal{User: "ann", Role: identity.RoleAdmin, Expires: hour}},
		{"another claim like the role", identity.Config{}, hs256(t, claims(jwt.MapClaims{"Role": "admin"})), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"claims nobody asked for", identity.Config{}, hs256(t, claims(jwt.MapClaims{"jti": "1", "scope": []string{"a"}, "iss": "x"})), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"fraction of a second", identity.Config{}, hs256(t, claims(jwt.MapClaims{"exp": float64(hour.Unix()) + 0.9})), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"issuer's clock ahead", identity.Config{}, hs256(t, claims(jwt.MapClaims{"nbf": now.Add(identity.Leeway).Unix(), "iat": now.Add(identity.Leeway).Unix()})), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"issuer", identity.Config{Issuer: "https://id"}, hs256(t, claims(jwt.MapClaims{"iss": "https://id"})), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"audience", identity.Config{Audience: "tally"}, hs256(t, claims(jwt.MapClaims{"aud": "tally"})), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"one of the audiences", identity.Config{Audience: "tally"}, hs256(t, claims(jwt.MapClaims{"aud": []string{"chat", "tally"}})), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"longest user", identity.Config{}, hs256(t, claims(jwt.MapClaims{"sub": strings.Repeat("ü", 64)})), identity.Principal{User: strings.Repeat("ü", 64), Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"RS256", identity.Config{}, signed(t, jwt.SigningMethodRS256, rsa.private, nil, claims(nil)), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"EdDSA", identity.Config{}, signed(t, jwt.SigningMethodEdDSA, ed.private, nil, claims(nil)), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
		{"ID of a key that has none", identity.Config{}, signed(t, jwt.SigningMethodEdDSA, ed.private, map[string]any{"kid": "2026"}, claims(nil)), identity.Principal{User: "ann", Role: identity.RoleUser, Limited: true, Expires: hour}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Keys = all
			v := verifier(t, c.config)
			for _, scheme := range []string{"Bearer ", "bearer ", "Bearer   "} {
				got, err := v.Authenticate(http.Header{"Authorization": {scheme + c.token}})
				if err != nil {
					t.Fatal(err)
				}
				got.Expires = got.Expires.UTC()
				if got != c.want {
					t.Fatalf("got %+v\nwant %+v", got, c.want)
				}
			}
		})
	}
}

const (
	unreadable = "cannot be read"
	notSigned  = "not signed with a key that is accepted"
	notYet     = "not valid yet"
	noNumber   = "not a number of seconds"
)

// refusal is a token that must be refused, for the reason given.
type refusal struct {
	name   string
	token  string
	detail string
}

// refusals are what is wrong whatever the keys, signed with the secret.
func refusals(t testing.TB) []refusal {
	good := hs256(t, claims(nil))
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	admin := encode([]byte(fmt.Sprintf(`{"sub":"ann","role":"admin","exp":%d}`, now.Add(time.Hour).Unix())))
	none := encode([]byte(`{"alg":"none","typ":"JWT"}`))
	return []refusal{
		{"empty", "", unreadable},
		{"no JWT", "secret", unreadable},
		{"two parts", parts[0] + "." + parts[1], unreadable},
		{"five parts, encrypted", good + ".a.b", unreadable},
		{"empty parts", "..", unreadable},
		{"line end inside", parts[0] + "\n." + parts[1] + "." + parts[2], unreadable},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], unreadable},
		{"JSON form", `{"payload":"` + parts[1] + `"}`, unreadable},
		{"claims are no JSON", parts[0] + "." + encode([]byte("{")) + "." + parts[2], unreadable},
		{"claims are a list", parts[0] + "." + encode([]byte("[]")) + "." + parts[2], unreadable},
		{"longer than 8 KiB", hs256(t, claims(jwt.MapClaims{"x": strings.Repeat("x", 8<<10)})), "at most 8192"},

		{"claims tampered with", parts[0] + "." + admin + "." + parts[2], notSigned},
		{"signature tampered with", parts[0] + "." + parts[1] + "." + flip(parts[2]), notSigned},
		{"signature spelled otherwise", respell(good), unreadable},
		{"signature cut off", parts[0] + "." + parts[1] + "." + parts[2][:20], notSigned},
		{"signature left out", parts[0] + "." + parts[1] + ".", notSigned},
		{"another secret", signed(t, jwt.SigningMethodHS256, []byte(strings.ToUpper(secretText)), nil, claims(nil)), notSigned},
		{"none", signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims(nil)), notSigned},
		{"none with a signature", none + "." + parts[1] + "." + parts[2], notSigned},
		{"None", encode([]byte(`{"alg":"None"}`)) + "." + parts[1] + ".", notSigned},
		{"no algorithm", encode([]byte(`{}`)) + "." + parts[1] + "." + parts[2], notSigned},
		{"algorithm is a number", encode([]byte(`{"alg":256}`)) + "." + parts[1] + "." + parts[2], notSigned},
		{"HS512 with the secret", signed(t, jwt.SigningMethodHS512, []byte(secretText), nil, claims(nil)), notSigned},
		{"critical header", signed(t, jwt.SigningMethodHS256, []byte(secretText), map[string]any{"crit": []string{"b64"}, "b64": false}, claims(nil)), notSigned},

		{"expired", hs256(t, claims(jwt.MapClaims{"exp": now.Add(-time.Second).Unix()})), "expired at 2026-03-01T11:59:59Z"},
		{"expires now", hs256(t, claims(jwt.MapClaims{"exp": now.Unix()})), "expired at"},
		{"no expiry", hs256(t, claims(jwt.MapClaims{"exp": nil})), "no time of expiry"},
		{"expiry is text", hs256(t, claims(jwt.MapClaims{"exp": "tomorrow"})), unreadable},
		{"expiry beyond all numbers", hs256(t, claims(jwt.MapClaims{"exp": 1e300})), noNumber},
		{"expiry before 1970", hs256(t, claims(jwt.MapClaims{"exp": -1})), noNumber},
		{"not yet valid", hs256(t, claims(jwt.MapClaims{"nbf": now.Add(identity.Leeway + time.Second).Unix()})), notYet},
		{"validity beyond all numbers", hs256(t, claims(jwt.MapClaims{"nbf": 1e300})), noNumber},
		{"issued in the future", hs256(t, claims(jwt.MapClaims{"iat": now.Add(identity.Leeway + time.Second).Unix()})), notYet},
		{"for somebody else", hs256(t, claims(jwt.MapClaims{"aud": "chat"})), "none is configured"},

		{"no user", hs256(t, claims(jwt.MapClaims{"sub": nil})), "names no user"},
		{"empty user", hs256(t, claims(jwt.MapClaims{"sub": ""})), "names no user"},
		{"user is a number", hs256(t, claims(jwt.MapClaims{"sub": 7})), unreadable},
		{"user with a control character", hs256(t, claims(jwt.MapClaims{"sub": "ann\nadmin"})), "control characters"},
		{"user too long", hs256(t, claims(jwt.MapClaims{"sub": strings.Repeat("a", 129)})), "at most 128 bytes"},
		{"unknown role", hs256(t, claims(jwt.MapClaims{"role": "root"})), "role is none of"},
		{"role in capitals", hs256(t, claims(jwt.MapClaims{"role": "Admin"})), "role is none of"},
		{"empty role", hs256(t, claims(jwt.MapClaims{"role": ""})), "role is none of"},
		{"several roles", hs256(t, claims(jwt.MapClaims{"role": []string{"user", "admin"}})), unreadable},
		{"role given twice", resigned(t, `{"sub":"ann","exp":4000000000,"role":"user","role":"admin"}`), unreadable},
		{"user not UTF-8", resigned(t, "{\"sub\":\"a\xff\",\"exp\":4000000000}"), unreadable},
		{"null claims", resigned(t, "null"), "no time of expiry"},
	}
}

// flip changes one bit of a base64 text that is not padding.
func flip(text string) string {
	other := byte('A')
	if text[0] == 'A' {
		other = 'B'
	}
	return string(other) + text[1:]
}

// respell changes bits of the last character that stand for nothing: a lenient
// decoder takes it for the same signature.
func respell(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])^1])
}

// resigned signs claims as they are spelled.
func resigned(t testing.TB, claims string) string {
	t.Helper()
	head := strings.Split(hs256(t, nil), ".")[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwt.SigningMethodHS256.Sign(head, []byte(secretText))
	if err != nil {
		t.Fatal(err)
	}
	return head + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// wantRefused checks the error, and that it gives nothing away.
func wantRefused(t *testing.T, v *identity.Verifier, token, detail string) {
	t.Helper()
	p, err := v.Authenticate(http.Header{"Authorization": {"Bearer " + token}})
	var refusal *counter.Error
	if !errors.As(err, &refusal) || refusal.Code != counter.Unauthenticated || p != (identity.Principal{}) {
		t.Fatalf("got %+v, %v; want it refused", p, err)
	}
	if !strings.Contains(refusal.Detail, detail) {
		t.Errorf("refused because %q, want %q", refusal.Detail, detail)
	}
	text := fmt.Sprintf("%s %+v %#v", err, *refusal, *refusal)
	for _, part := range append(strings.Split(token, "."), secretText) {
		if len(part) >= 4 && strings.Contains(text, part) {
			t.Errorf("the error gives away %q: %s", part, text)
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	v := verifier(t, identity.Config{Keys: []identity.Key{secret(t)}})
	for _, c := range refusals(t) {
		t.Run(c.name, func(t *testing.T) { wantRefused(t, v, c.token, c.detail) })
	}
}

func TestIssuerAndAudience(t *testing.T) {
	v := verifier(t, identity.Config{Keys: []identity.Key{secret(t)}, Issuer: "https://id", Audience: "tally"})
	for _, c := range []refusal{
		{"no issuer", hs256(t, claims(jwt.MapClaims{"aud": "tally"})), "another issuer"},
		{"another issuer", hs256(t, claims(jwt.MapClaims{"aud": "tally", "iss": "https://id/"})), "another issuer"},
		{"no audience", hs256(t, claims(jwt.MapClaims{"iss": "https://id"})), "this audience"},
		{"another audience", hs256(t, claims(jwt.MapClaims{"iss": "https://id", "aud": []string{"chat", "tally2"}})), "this audience"},
	} {
		t.Run(c.name, func(t *testing.T) { wantRefused(t, v, c.token, c.detail) })
	}
}

// A public key is public: if it could pass for an HS256 secret, everybody could
// sign. Nor may a key be used with another algorithm of its kind.
func TestAlgorithmsArePinnedToKeys(t *testing.T) {
	rsa, ed := rsaPair(t), ed25519Pair(t)
	public := append(append([]identity.Key{}, rsa.public...), ed.public...)
	rsaOnly := verifier(t, identity.Config{Keys: rsa.public})
	both := verifier(t, identity.Config{Keys: public})
	everything := verifier(t, identity.Config{Keys: append(public, secret(t))})

	sign := func(method jwt.SigningMethod, key any) string { return signed(t, method, key, nil, claims(nil)) }
	tokens := map[string]string{
		"HS256 with the RSA key's PEM":     sign(jwt.SigningMethodHS256, rsa.publicPEM),
		"HS256 with the PEM, no line end":  sign(jwt.SigningMethodHS256, []byte(strings.TrimSpace(string(rsa.publicPEM)))),
		"HS256 with the Ed25519 key's PEM": sign(jwt.SigningMethodHS256, ed.publicPEM),
		"RS512":                            sign(jwt.SigningMethodRS512, rsa.private),
		"PS256":                            sign(jwt.SigningMethodPS256, rsa.private),
		"none":                             sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
	}
	for name, token := range tokens {
		for _, v := range []*identity.Verifier{rsaOnly, both, everything} {
			t.Run(name, func(t *testing.T) { wantRefused(t, v, token, notSigned) })
		}
	}
	wantRefused(t, rsaOnly, hs256(t, claims(nil)), notSigned)
	wantRefused(t, rsaOnly, sign(jwt.SigningMethodEdDSA, ed.private), notSigned)
	wantRefused(t, both, sign(jwt.SigningMethodRS256, rsaPair(t).private), notSigned)
	// A token that brings its own key is not believed.
	wantRefused(t, both, signed(t, jwt.SigningMethodEdDSA, ed25519Pair(t).private, map[string]any{"jwk": map[string]string{"kty": "OKP"}, "jku": "https://evil/keys"}, claims(nil)), notSigned)
}

func TestKeyIDsSelect(t *testing.T) {
	first, second := ed25519Pair(t), ed25519Pair(t)
	keys, err := identity.ParsePublicKeys(keySet(t, ed25519JWK("first", first), ed25519JWK("second", second)))
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, identity.Config{Keys: keys})
	with := func(p pair, header map[string]any) string {
		return signed(t, p.signingMethod, p.private, header, claims(nil))
	}
	for _, token := range []string{with(first, map[string]any{"kid": "first"}), with(second, map[string]any{"kid": "second"}), with(second, nil)} {
		if _, err := v.Verify(token); err != nil {
			t.Error(err)
		}
	}
	wantRefused(t, v, with(first, map[string]any{"kid": "second"}), notSigned)
	wantRefused(t, v, with(first, map[string]any{"kid": "third"}), notSigned)
}

func TestCredentialsThatAreNone(t *testing.T) {
	v := verifier(t, identity.Config{Keys: []identity.Key{secret(t)}})
	good := hs256(t, claims(nil))
	for _, c := range []struct {
		name   string
		header http.Header
		detail string
	}{
		{"nothing", http.Header{}, "send a token"},
		{"a claim to be somebody", http.Header{identity.UserHeader: {"ann"}}, "send a token"},
		{"another scheme", http.Header{"Authorization": {"Basic YW5uOnNlY3JldA=="}}, "scheme is not Bearer"},
		{"no scheme", http.Header{"Authorization": {good}}, "scheme is not Bearer"},
		{"twice", http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}, "more than once"},
		{"two tokens", http.Header{"Authorization": {"Bearer " + good + " " + good}}, unreadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := v.Authenticate(c.header)
			if !errors.Is(err, counter.Unauthenticated) || !strings.Contains(err.Error(), c.detail) || strings.Contains(err.Error(), good) {
				t.Fatalf("got %v, want %q", err, c.detail)
			}
		})
	}
}

// X-Tally-User does not make one who has a token somebody else.
func TestTheTokenDecides(t *testing.T) {
	v := verifier(t, identity.Config{Keys: []identity.Key{secret(t)}})
	p, err := v.Authenticate(http.Header{"Authorization": {"Bearer " + hs256(t, claims(nil))}, identity.UserHeader: {"bob"}})
	if err != nil || p.User != "ann" {
		t.Fatalf("got %+v, %v; want ann", p, err)
	}
}

// A token that is remembered as good ends like any other.
func TestRememberedTokensExpire(t *testing.T) {
	clock := now
	v := verifier(t, identity.Config{Keys: []identity.Key{secret(t)}, Now: func() time.Time { return clock }})
	token := hs256(t, claims(nil))
	p, err := v.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	clock = p.Expires.Add(-time.Nanosecond)
	if again, err := v.Verify(token); err != nil || again != p {
		t.Fatalf("got %+v, %v just before the end; want %+v", again, err, p)
	}
	clock = p.Expires
	wantRefused(t, v, token, "expired")
}

func TestNewVerifierWantsKeys(t *testing.T) {
	for _, keys := range [][]identity.Key{nil, {{}}} {
		if _, err := identity.NewVerifier(identity.Config{Keys: keys}); err == nil {
			t.Errorf("a verifier with %d empty keys", len(keys))
		}
	}
}

// Whatever somebody prints while looking for a fault, a secret is not in it.
func TestSecretsDoNotPrint(t *testing.T) {
	key := secret(t)
	hidden := struct{ key identity.Key }{key}
	v := verifier(t, identity.Config{Keys: []identity.Key{key}})
	if _, err := v.Verify(hs256(t, claims(nil))); err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{key, &key, hidden, &hidden, []identity.Key{key}, v, identity.Config{Keys: []identity.Key{key}}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			text := fmt.Sprintf(format, value)
			for _, secret := range []string{secretText, fmt.Sprintf("%x", secretText), strings.Trim(fmt.Sprint([]byte(secretText)), "[]")} {
				if strings.Contains(text, secret) {
					t.Errorf("%s of %T prints the secret", format, value)
				}
			}
		}
	}
}
