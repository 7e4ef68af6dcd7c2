package identity_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tally/identity"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const secretText = "a-secret-that-is-long-enough-for-HS256-0123456789"

func secret(t testing.TB) identity.Key {
	t.Helper()
	key, err := identity.NewSecret([]byte(secretText))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair is an asymmetric key as its owner has it, and as files.
type pair struct {
	private       any
	publicPEM     []byte
	privatePEM    []byte
	public        []identity.Key
	signingMethod jwt.SigningMethod
}

func newPair(t testing.TB, private, public any, method jwt.SigningMethod) pair {
	t.Helper()
	p := pair{private: private, signingMethod: method}
	publicDER, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p.publicPEM = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
	p.privatePEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER})
	if p.public, err = identity.ParsePublicKeys(p.publicPEM); err != nil {
		t.Fatal(err)
	}
	return p
}

func rsaPair(t testing.TB) pair {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, private, private.Public(), jwt.SigningMethodRS256)
}

func ed25519Pair(t testing.TB) pair {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, private, public, jwt.SigningMethodEdDSA)
}

func verifier(t testing.TB, config identity.Config) *identity.Verifier {
	t.Helper()
	if config.Now == nil {
		config.Now = func() time.Time { return now }
	}
	v, err := identity.NewVerifier(config)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// claims are those of a good token, with changes: nil takes a claim out.
func claims(changes jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "ann", "exp": now.Add(time.Hour).Unix()}
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// signed makes any token, also one that Mint would not; header may be nil.
func signed(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, c jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// hs256 signs with the secret.
func hs256(t testing.TB, c jwt.MapClaims) string {
	t.Helper()
	return signed(t, jwt.SigningMethodHS256, []byte(secretText), nil, c)
}

// file writes a file with exactly this mode.
func file(t testing.TB, mode os.FileMode, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}
