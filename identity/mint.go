package identity

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims is what a minted token says.
type Claims struct {
	User string
	// Role is RoleUser if "".
	Role Role
	// Issued and Expires are rounded down to whole seconds.
	Issued, Expires time.Time
	// Issuer and Audience are left out if "".
	Issuer, Audience string
}

// Mint makes a token that a Verifier with the same key, or with the public half
// of it, accepts. It is for development and tests; what issues tokens in earnest
// is not a part of this product.
func Mint(key Key, c Claims) (string, error) {
	if key.material == nil {
		return "", errors.New("an empty key")
	}
	_, sign := key.material()
	if sign == nil {
		return "", errors.New("the key cannot sign; give the secret or the private key")
	}
	if c.Role == "" {
		c.Role = RoleUser
	}
	if err := checkClaims(c.User, c.Role); err != nil {
		return "", err
	}
	if !c.Issued.Before(c.Expires) {
		return "", errors.New("the token would expire before it is issued")
	}
	said := jwt.MapClaims{"sub": c.User, "role": string(c.Role), "iat": c.Issued.Unix(), "exp": c.Expires.Unix()}
	if c.Issuer != "" {
		said["iss"] = c.Issuer
	}
	if c.Audience != "" {
		said["aud"] = c.Audience
	}
	token := jwt.NewWithClaims(key.method, said)
	if key.id != "" {
		token.Header["kid"] = key.id
	}
	return token.SignedString(sign)
}
