package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"
)

func signingKey(b *testing.B, private any, public any) Key {
	key, err := pin("", public, private)
	if err != nil {
		b.Fatal(err)
	}
	return key
}

// BenchmarkVerify is the cost of a token that was not seen before, and of one
// that is remembered.
func BenchmarkVerify(b *testing.B) {
	secret, err := NewSecret(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	rsaPrivate, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	keys := []Key{secret, signingKey(b, rsaPrivate, &rsaPrivate.PublicKey), signingKey(b, edPrivate, edPublic)}
	for _, key := range keys {
		v, err := NewVerifier(Config{Keys: keys})
		if err != nil {
			b.Fatal(err)
		}
		token, err := Mint(key, Claims{User: "ann", Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
		if err != nil {
			b.Fatal(err)
		}
		for _, remembered := range []bool{false, true} {
			name := key.Algorithm() + "/new"
			if remembered {
				name = key.Algorithm() + "/remembered"
			}
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					if !remembered {
						v.forgetTokens()
					}
					if _, err := v.Verify(token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
