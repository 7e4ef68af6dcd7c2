package identity_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"tally/identity"
)

var b64 = base64.RawURLEncoding.EncodeToString

func ed25519JWK(id string, p pair) map[string]any {
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": b64(p.private.(ed25519.PrivateKey).Public().(ed25519.PublicKey))}
}

func rsaJWK(n *big.Int, e int64) map[string]any {
	return map[string]any{"kty": "RSA", "n": b64(n.Bytes()), "e": b64(big.NewInt(e).Bytes())}
}

func with(jwk map[string]any, name string, value any) map[string]any {
	jwk[name] = value
	return jwk
}

func keySet(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSecretFiles(t *testing.T) {
	for _, c := range []struct {
		name  string
		mode  os.FileMode
		data  string
		error string
	}{
		{"text", 0o600, secretText, ""},
		{"text with a line end", 0o400, secretText + "\r\n", ""},
		{"for a group", 0o640, secretText, ""},
		{"bytes that end like a line", 0o600, strings.Repeat("\x01", 31) + "\n", ""},
		{"31 characters and a line end", 0o600, strings.Repeat("x", 31) + "\n", "31 bytes"},
		{"empty", 0o600, "", "0 bytes"},
		{"open to all", 0o604, secretText, "chmod o="},
		{"a public key", 0o600, "-----BEGIN PUBLIC KEY-----\n" + secretText, "PEM"},
		{"too large", 0o600, strings.Repeat("x", identity.FileBytesMax+1), "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.mode&0o007 != 0 && runtime.GOOS == "windows" {
				t.Skip("no such permissions on Windows")
			}
			_, err := identity.ReadSecret(file(t, c.mode, []byte(c.data)))
			wantKeyError(t, err, c.error)
			if err != nil && strings.Contains(err.Error(), secretText) {
				t.Errorf("the error gives the secret away: %v", err)
			}
		})
	}
	if _, err := identity.ReadSecret(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a secret from a file that does not exist")
	}
}

// wantKeyError wants an error with this text, or none for "".
func wantKeyError(t *testing.T, err error, text string) {
	t.Helper()
	if text == "" && err != nil {
		t.Fatal(err)
	}
	if text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
		t.Fatalf("got %v, want %q", err, text)
	}
}

func TestPublicKeys(t *testing.T) {
	r, ed := rsaPair(t), ed25519Pair(t)
	private := r.private.(*rsa.PrivateKey)
	public := &private.PublicKey
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	pkix := func(public any) []byte {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return block("PUBLIC KEY", der)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short := &rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), 2046, 1), 0, 1), E: 65537}
	long := &rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), 8192, 1), 0, 1), E: 65537}

	for _, c := range []struct {
		name  string
		data  []byte
		keys  string // as printed
		error string
	}{
		{"RSA", r.publicPEM, "RS256 key", ""},
		{"RSA, PKCS #1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(public)), "RS256 key", ""},
		{"Ed25519", ed.publicPEM, "EdDSA key", ""},
		{"several with text between", append(append([]byte("ours\n"), r.publicPEM...), append([]byte("theirs\n"), ed.publicPEM...)...), "RS256 key, EdDSA key", ""},
		{"set", keySet(t, with(rsaJWK(public.N, 65537), "kid", "a"), ed25519JWK("b", ed)), `RS256 key "a", EdDSA key "b"`, ""},
		{"set with keys for other things", keySet(t,
			with(rsaJWK(public.N, 65537), "use", "enc"), with(rsaJWK(public.N, 65537), "alg", "RS512"),
			map[string]any{"kty": "EC", "crv": "P-256"}, map[string]any{"kty": "OKP", "crv": "X25519", "x": "AA"}, ed25519JWK("b", ed)), `EdDSA key "b"`, ""},

		{"empty", nil, "", "neither a PEM block nor"},
		{"text", []byte(secretText), "", "neither a PEM block nor"},
		{"something after it", append(append([]byte{}, r.publicPEM...), "-----BEGIN PUBLIC KEY-----\nbroken"...), "", "after the last PEM block"},
		{"broken", block("PUBLIC KEY", []byte("x")), "", "PEM block PUBLIC KEY"},
		{"RSA of 2047 bits", pkix(short), "", "2047 bits"},
		{"RSA of 8193 bits", pkix(long), "", "8193 bits"},
		{"P-256", pkix(curve.Public()), "", "not supported"},
		{"private", r.privatePEM, "", "private key"},
		{"certificate", block("CERTIFICATE", []byte("x")), "", `"CERTIFICATE" is not a public key`},
		{"broken set", []byte(`{"keys":[`), "", "not a JSON Web Key Set"},
		{"empty set", []byte(`{"keys":[]}`), "", "no key for signatures"},
		{"single JWK", []byte(`{"kty":"RSA"}`), "", "no key for signatures"},
		{"private set", keySet(t, with(rsaJWK(public.N, 65537), "d", "AQ")), "", "is private"},
		{"set with a secret", keySet(t, map[string]any{"kty": "oct", "k": b64([]byte(secretText))}), "", "is private"},
		{"set with RSA of 2047 bits", keySet(t, rsaJWK(short.N, 65537)), "", "2047 bits"},
		{"set with an even exponent", keySet(t, rsaJWK(public.N, 4)), "", "not odd"},
		{"set with exponent 1", keySet(t, rsaJWK(public.N, 1)), "", "not odd"},
		{"set with an even modulus", keySet(t, rsaJWK(new(big.Int).Lsh(public.N, 1), 3)), "", "not odd"},
		{"set with an endless exponent", keySet(t, rsaJWK(public.N, 1<<40+1)), "", "out of range"},
		{"set with no base64", keySet(t, with(rsaJWK(public.N, 3), "n", "+/")), "", "base64url"},
		{"set with half an Ed25519 key", keySet(t, with(ed25519JWK("", ed), "x", "AAAA")), "", "3 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := identity.ReadPublicKeys(file(t, 0o644, c.data))
			wantKeyError(t, err, c.error)
			var printed []string
			for _, key := range keys {
				printed = append(printed, key.String())
			}
			if got := strings.Join(printed, ", "); got != c.keys {
				t.Errorf("keys %s, want %s", got, c.keys)
			}
		})
	}
}

func TestMintedTokensVerify(t *testing.T) {
	r, ed := rsaPair(t), ed25519Pair(t)
	verify := append(append([]identity.Key{secret(t)}, r.public...), ed.public...)
	v := verifier(t, identity.Config{Keys: verify, Issuer: "me", Audience: "tally"})

	signers := []identity.Key{secret(t)}
	for _, p := range []pair{r, ed} {
		key, err := identity.ReadPrivateKey(file(t, 0o600, p.privatePEM))
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, key)
	}
	for _, key := range signers {
		for asked, want := range map[identity.Role]identity.Role{
			"":                   identity.RoleUser,
			identity.RoleUser:    identity.RoleUser,
			identity.RoleService: identity.RoleService,
			identity.RoleAdmin:   identity.RoleAdmin,
		} {
			token, err := identity.Mint(key, identity.Claims{User: "ann", Role: asked, Issued: now, Expires: now.Add(time.Minute), Issuer: "me", Audience: "tally"})
			if err != nil {
				t.Fatal(err)
			}
			p, err := v.Verify(token)
			if err != nil || p.User != "ann" || p.Role != want || !p.Expires.Equal(now.Add(time.Minute)) {
				t.Errorf("%v, role %q: got %+v, %v", key, asked, p, err)
			}
		}
	}
}

func TestMintRefuses(t *testing.T) {
	good := identity.Claims{User: "ann", Issued: now, Expires: now.Add(time.Minute)}
	change := func(change func(*identity.Claims)) identity.Claims {
		c := good
		change(&c)
		return c
	}
	for _, c := range []struct {
		name   string
		key    identity.Key
		claims identity.Claims
	}{
		{"no key", identity.Key{}, good},
		{"public key", ed25519Pair(t).public[0], good},
		{"no user", secret(t), change(func(c *identity.Claims) { c.User = "" })},
		{"control character", secret(t), change(func(c *identity.Claims) { c.User = "\x00" })},
		{"unknown role", secret(t), change(func(c *identity.Claims) { c.Role = "root" })},
		{"no expiry", secret(t), change(func(c *identity.Claims) { c.Expires = time.Time{} })},
	} {
		if token, err := identity.Mint(c.key, c.claims); err == nil {
			t.Errorf("%s: minted %s", c.name, token)
		}
	}
}

func TestPrivateKeyFiles(t *testing.T) {
	r := rsaPair(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		mode  os.FileMode
		data  []byte
		error string
	}{
		{"PKCS #8", 0o600, r.privatePEM, ""},
		{"PKCS #1", 0o600, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(r.private.(*rsa.PrivateKey))}), ""},
		{"open to all", 0o644, r.privatePEM, "chmod o="},
		{"public", 0o600, r.publicPEM, "not a private key"},
		{"broken", 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), "cannot be read"},
		{"P-256", 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), "neither RSA nor Ed25519"},
		{"two", 0o600, append(append([]byte{}, r.privatePEM...), r.privatePEM...), "one PEM block"},
		{"text", 0o600, []byte(secretText), "one PEM block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.mode&0o007 != 0 && runtime.GOOS == "windows" {
				t.Skip("no such permissions on Windows")
			}
			_, err := identity.ReadPrivateKey(file(t, c.mode, c.data))
			wantKeyError(t, err, c.error)
		})
	}
}
