package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/golang-jwt/jwt/v5"
)

// What keys must be.
const (
	// SecretBytesMin is the shortest secret: that of the hash (RFC 7518, section 3.2).
	SecretBytesMin = 32
	// RSABitsMin is the shortest RSA key (RFC 7518, section 3.3).
	RSABitsMin = 2048
	// RSABitsMax bounds what a check of a signature costs.
	RSABitsMax = 8192
	// FileBytesMax is the largest file of keys.
	FileBytesMax = 1 << 20
)

// Key verifies or signs tokens with one algorithm. It prints as its algorithm,
// never as what it holds.
type Key struct {
	id     string // the JWK's key ID, "" if it has none
	method jwt.SigningMethod
	// material returns what is held, in the types that the library wants; sign is
	// nil if the key cannot. It is behind a function because fmt does not look
	// into those: it would into a field of somebody's struct, and could not call
	// String there.
	material func() (verify, sign any)
}

func newKey(id string, method jwt.SigningMethod, verify, sign any) Key {
	return Key{id: id, method: method, material: func() (any, any) { return verify, sign }}
}

// Algorithm is HS256, RS256 or EdDSA (RFC 7518, RFC 8037).
func (k Key) Algorithm() string { return k.method.Alg() }

// String returns the algorithm and the ID.
func (k Key) String() string {
	if k.method == nil {
		return "no key"
	}
	if k.id == "" {
		return k.Algorithm() + " key"
	}
	return fmt.Sprintf("%s key %q", k.Algorithm(), k.id)
}

// GoString is String, so that %#v does not print the key either.
func (k Key) GoString() string { return k.String() }

// NewSecret makes an HS256 key, which signs and verifies. If data is text, line
// ends after it are not part of the secret.
func NewSecret(data []byte) (Key, error) {
	if text := bytes.TrimRight(data, "\r\n"); printable(text) {
		data = text
	}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return Key{}, errors.New("it is a PEM file, which is no secret: HS256 needs random bytes that nobody else has")
	}
	if len(data) < SecretBytesMin {
		return Key{}, fmt.Errorf("it has %d bytes, at least %d are needed; make one with: openssl rand -base64 48", len(data), SecretBytesMin)
	}
	secret := bytes.Clone(data)
	return newKey("", jwt.SigningMethodHS256, secret, secret), nil
}

func printable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// ReadSecret reads the HS256 key from a file that others cannot read.
func ReadSecret(path string) (Key, error) {
	data, err := readPrivate(path)
	if err != nil {
		return Key{}, err
	}
	key, err := NewSecret(data)
	if err != nil {
		return Key{}, fmt.Errorf("secret file %s: %w", path, err)
	}
	return key, nil
}

// ReadPublicKeys reads the keys of a PEM or JWKS file, see ParsePublicKeys.
func ReadPublicKeys(path string) ([]Key, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := readAll(file)
	if err != nil {
		return nil, err
	}
	keys, err := ParsePublicKeys(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return keys, nil
}

// ReadPrivateKey reads a PEM file with one RSA or Ed25519 private key, PKCS #8 or
// PKCS #1, that others cannot read. It is for Mint: nodes need public keys only.
func ReadPrivateKey(path string) (Key, error) {
	data, err := readPrivate(path)
	if err != nil {
		return Key{}, err
	}
	key, err := parsePrivateKey(data)
	if err != nil {
		return Key{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// ParsePublicKeys reads RSA and Ed25519 keys from one or more PEM blocks ("PUBLIC
// KEY" or "RSA PUBLIC KEY"), or from a JSON Web Key Set (RFC 7517), whose key IDs
// are kept.
func ParsePublicKeys(data []byte) ([]Key, error) {
	if text := bytes.TrimSpace(data); len(text) > 0 && text[0] == '{' {
		return parseKeySet(text)
	}
	var keys []Key
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		key, err := parsePublicBlock(block)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds neither a PEM block nor a JSON Web Key Set")
	}
	if len(bytes.TrimSpace(data)) > 0 {
		return nil, errors.New("something after the last PEM block is not understood")
	}
	return keys, nil
}

func parsePublicBlock(block *pem.Block) (Key, error) {
	var (
		public any
		err    error
	)
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return Key{}, errors.New("it holds a private key, which nodes must not have; give them the public key: openssl pkey -pubout")
	default:
		return Key{}, fmt.Errorf("a PEM block of type %q is not a public key; want PUBLIC KEY", block.Type)
	}
	if err != nil {
		return Key{}, fmt.Errorf("PEM block %s: %w", block.Type, err)
	}
	return pin("", public, nil)
}

// pin gives a key its algorithm. The private half is nil on nodes.
func pin(id string, public, private any) (Key, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(public); err != nil {
			return Key{}, err
		}
		return newKey(id, jwt.SigningMethodRS256, public, private), nil
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return Key{}, fmt.Errorf("an Ed25519 key of %d bytes; want %d", len(public), ed25519.PublicKeySize)
		}
		return newKey(id, jwt.SigningMethodEdDSA, public, private), nil
	}
	return Key{}, fmt.Errorf("keys of type %T are not supported; use RSA or Ed25519", public)
}

func checkRSA(public *rsa.PublicKey) error {
	if bits := public.N.BitLen(); bits < RSABitsMin || bits > RSABitsMax {
		return fmt.Errorf("an RSA key of %d bits; %d to %d are accepted", bits, RSABitsMin, RSABitsMax)
	}
	if public.N.Bit(0) == 0 || public.E < 3 || public.E%2 == 0 || int64(public.E) > 1<<31-1 {
		return errors.New("an RSA key whose modulus or exponent is not odd or out of range")
	}
	return nil
}

func parsePrivateKey(data []byte) (Key, error) {
	block, rest := pem.Decode(data)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return Key{}, errors.New("it does not hold one PEM block and nothing else")
	}
	var (
		private any
		err     error
	)
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return Key{}, fmt.Errorf("a PEM block of type %q is not a private key without a password; want PRIVATE KEY", block.Type)
	}
	if err != nil {
		return Key{}, fmt.Errorf("PEM block %s cannot be read", block.Type) // the cause might quote the key
	}
	switch private := private.(type) {
	case *rsa.PrivateKey:
		return pin("", &private.PublicKey, private)
	case ed25519.PrivateKey:
		return pin("", private.Public(), private)
	}
	return Key{}, errors.New("the private key is neither RSA nor Ed25519")
}

// readPrivate reads a file that must be nobody's business. It fails closed: a
// secret that others on the machine can read lets them sign as anybody.
func readPrivate(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	// Windows has no such bits.
	if mode := info.Mode().Perm(); mode&0o007 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s is open to every user of this machine (mode %04o); close it: chmod o= %s", path, mode, path)
	}
	return readAll(file)
}

func readAll(file *os.File) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(file, FileBytesMax+1))
	if err == nil && len(data) > FileBytesMax {
		err = fmt.Errorf("%s is larger than %d KiB, which no file of keys is", file.Name(), FileBytesMax>>10)
	}
	return data, err
}
