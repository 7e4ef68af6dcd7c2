package httpapi_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tally/counter"
	"tally/httpapi"
	"tally/identity"
)

// TestNoMethodIsOpen sends every method to every path without a token: what is
// not for anyone is refused before it is looked at.
func TestNoMethodIsOpen(t *testing.T) {
	a := newAPI(t, withTokens(t), func(c *httpapi.Config) { c.MetricsForAdmins = true })
	open, guarded := map[string]bool{}, map[string]bool{}
	for _, rt := range httpapi.Routes() {
		path := strings.NewReplacer("{group}", "g", "{key}", "a", "{id}", "n2").Replace(rt.Path)
		if rt.Original {
			continue // tells of it in its own way; see the matrix
		}
		of := guarded
		if rt.Action == httpapi.Anyone && rt.Name != "metrics" {
			of = open
		}
		of[rt.Method+" "+path] = true
		if rt.Method == http.MethodGet {
			of["HEAD "+path] = true
		}
	}
	paths := map[string]bool{"/": true, "/v1/": true, "/v1/groups/g/counters/": true, "//v1/groups": true, "/v1/../v1/groups": true}
	for line := range guarded {
		_, path, _ := strings.Cut(line, " ")
		paths[path] = true
	}
	for path := range paths {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"} {
			got := a.do(method, path, "")
			switch line := method + " " + path; {
			case open[line]:
				got.ok()
			case guarded[line], strings.HasSuffix(path, "/counters/") && guarded[line+"a"]:
				if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != `Bearer realm="tally"` {
					t.Errorf("%s: %d %v", line, got.status, got.header)
				}
			case method == "OPTIONS" && got.status == http.StatusNoContent:
			case got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed:
				t.Errorf("%s: %d %s", line, got.status, got.body)
			}
		}
	}
	if len(a.backend.proposed)+len(a.backend.readers) != 0 {
		t.Errorf("the backend was asked for %v and by %v", a.backend.proposed, a.backend.readers)
	}
}

// TestMetricsSwitch: open unless it is for admins, and then like the rest.
func TestMetricsSwitch(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	a := newAPI(t, withTokens(t))
	a.get("/metrics").ok()
	a = newAPI(t, withTokens(t), func(c *httpapi.Config) { c.MetricsForAdmins = true })
	a.get("/metrics").problem(counter.Unauthenticated)
	a.get("/metrics", "Authorization", mint(t, "s", identity.RoleService, soon)).problem(counter.Forbidden)
	a.get("/metrics", "Authorization", mint(t, "a", identity.RoleAdmin, soon)).ok()
	a = newAPI(t, func(c *httpapi.Config) { c.Gatherer = nil })
	a.get("/metrics").problem(counter.RouteNotFound)
}

// TestForgedTokens: a node with a public key takes tokens that its owner signed,
// and none that names another algorithm, above all not the public key, which
// everybody has, as an HMAC secret, and no signature at all (RFC 8725, section 2.1).
func TestForgedTokens(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	keys, err := identity.ParsePublicKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := identity.NewVerifier(identity.Config{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(c *httpapi.Config) { c.Authenticate = verifier.Authenticate })
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	user := "ann"
	sign := func(method jwt.SigningMethod, key any) string {
		said := jwt.MapClaims{"sub": user, "role": "admin", "exp": time.Now().Add(time.Hour).Unix()}
		text, err := jwt.NewWithClaims(method, said).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := sign(jwt.SigningMethodRS256, private)
	user = "eve"
	none := sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)
	_, claims, _ := strings.Cut(none, ".")
	head, _, _ := strings.Cut(good, ".")
	for name, token := range map[string]string{
		"none":                                    none,
		"none with a signature":                   none + good[strings.LastIndex(good, ".")+1:],
		"RS256 without a signature":               head + "." + claims,
		"the public key as a secret, as a file":   sign(jwt.SigningMethodHS256, public),
		"the public key as a secret, trimmed":     sign(jwt.SigningMethodHS256, []byte(strings.TrimSpace(string(public)))),
		"the public key as a secret, in DER":      sign(jwt.SigningMethodHS256, der),
		"the modulus as a secret":                 sign(jwt.SigningMethodHS256, private.N.Bytes()),
		"an empty secret":                         sign(jwt.SigningMethodHS256, []byte{}),
		"another hash":                            sign(jwt.SigningMethodRS512, private),
		"another padding":                         sign(jwt.SigningMethodPS256, private),
		"another family":                          sign(jwt.SigningMethodEdDSA, edwards),
		"another key":                             sign(jwt.SigningMethodRS256, other),
		"another's claims under a good signature": head + "." + strings.TrimSuffix(claims, ".") + good[strings.LastIndex(good, "."):],
	} {
		got := a.do("POST", "/v1/groups/g/counters/a/increase", "", "Authorization", "Bearer "+token)
		if got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.status, got.body)
			continue
		}
		got.problem(counter.Unauthenticated)
		if strings.Contains(got.body, token) {
			t.Errorf("%s: the token is in the reply: %s", name, got.body)
		}
	}
	a.do("POST", "/v1/groups/g/counters/a/increase", "", "Authorization", "Bearer "+good).ok()
	if n := len(a.backend.proposed); n != 1 {
		t.Errorf("%d changes were made", n)
	}
}
