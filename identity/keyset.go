package identity

import (
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// jwk is the part of a JSON Web Key that a public key for signatures needs
// (RFC 7517 section 4, RFC 7518 section 6.3.1, RFC 8037 section 2).
type jwk struct {
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`

	Modulus  string `json:"n"`
	Exponent string `json:"e"`

	Curve string `json:"crv"`
	X     string `json:"x"`

	Private json.RawMessage `json:"d"`
	Secret  json.RawMessage `json:"k"`
}

// parseKeySet reads a JWKS. Keys for other uses and algorithms are passed over,
// as providers publish them in one set (RFC 7517, section 5).
func parseKeySet(data []byte) ([]Key, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("it is not a JSON Web Key Set: the JSON is broken or of another shape")
	}
	var keys []Key
	for i, j := range set.Keys {
		if j.Private != nil || j.Secret != nil {
			return nil, fmt.Errorf("key %d of the set is private, which nodes must not have; give them the public set", i)
		}
		if !j.usable() {
			continue
		}
		key, err := j.key()
		if err != nil {
			return nil, fmt.Errorf("key %d of the set: %w", i, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the set has no key for signatures with RS256 or EdDSA on Ed25519")
	}
	return keys, nil
}

// usable tells whether the key is for signatures with an algorithm we know.
func (j jwk) usable() bool {
	if j.Use != "" && j.Use != "sig" {
		return false
	}
	switch j.Type {
	case "RSA":
		return j.Algorithm == "" || j.Algorithm == "RS256"
	case "OKP":
		return j.Curve == "Ed25519" && (j.Algorithm == "" || j.Algorithm == "EdDSA" || j.Algorithm == "Ed25519")
	}
	return false
}

func (j jwk) key() (Key, error) {
	if j.Type == "OKP" {
		x, err := base64.RawURLEncoding.DecodeString(j.X)
		if err != nil {
			return Key{}, errors.New(`"x" is not base64url`)
		}
		return pin(j.ID, ed25519.PublicKey(x), nil)
	}
	n, errN := base64.RawURLEncoding.DecodeString(j.Modulus)
	e, errE := base64.RawURLEncoding.DecodeString(j.Exponent)
	if errN != nil || errE != nil || len(e) > 4 {
		return Key{}, errors.New(`"n" or "e" is not a base64url number, or out of range`)
	}
	return pin(j.ID, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil)
}
