package identity_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"tally/counter"
	"tally/identity"
)

// Whatever is sent as Authorization, nobody is let in but with a token that was
// signed, spelled as it was signed.
func FuzzAuthenticate(f *testing.F) {
	ed := ed25519Pair(f)
	v := verifier(f, identity.Config{Keys: append([]identity.Key{secret(f)}, ed.public...)})
	good := map[string]bool{
		hs256(f, claims(nil)): true,
		signed(f, jwt.SigningMethodEdDSA, ed.private, nil, claims(jwt.MapClaims{"role": "admin"})): true,
	}
	for token := range good {
		f.Add("Bearer " + token)
	}
	for _, c := range refusals(f) {
		f.Add("Bearer " + c.token)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		p, err := v.Authenticate(http.Header{"Authorization": {authorization}})
		if err == nil {
			_, token, _ := strings.Cut(authorization, " ")
			if token = strings.Trim(token, " "); !good[token] {
				t.Fatalf("%q lets %+v in", authorization, p)
			}
			return
		}
		var refusal *counter.Error
		if !errors.As(err, &refusal) || refusal.Code != counter.Unauthenticated || p != (identity.Principal{}) {
			t.Fatalf("got %+v, %v; want it refused", p, err)
		}
	})
}

// Whatever a file of keys holds, what comes out of it can make a verifier and
// cannot sign.
func FuzzParsePublicKeys(f *testing.F) {
	r, ed := rsaPair(f), ed25519Pair(f)
	for _, seed := range [][]byte{r.publicPEM, ed.publicPEM, r.privatePEM, keySet(f, ed25519JWK("a", ed)), []byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}`)} {
		f.Add(seed)
	}
	token := hs256(f, claims(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := identity.ParsePublicKeys(data)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and error %v", len(keys), err)
		}
		if err != nil {
			return
		}
		v := verifier(t, identity.Config{Keys: keys})
		if _, err := v.Verify(token); err == nil {
			t.Fatal("a public key verifies HS256")
		}
		if _, err := identity.Mint(keys[0], identity.Claims{User: "ann", Issued: now, Expires: now.Add(1e9)}); err == nil {
			t.Fatal("a public key signs")
		}
	})
}
