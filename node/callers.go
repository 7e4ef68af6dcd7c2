package node

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"tally/identity"
)

// The ways in which callers are known, of Config.Identity.
const (
	// IdentityNone takes the caller's word for who it is, see identity.None.
	IdentityNone = "none"
	// IdentityJWT wants a bearer token, see identity.Verifier.
	IdentityJWT = "jwt"
)

// Who may see /metrics, of Config.MetricsFor.
const (
	MetricsForAnyone = "anyone" // who asks, without credentials
	MetricsForAdmins = "admin"  // who may see the cluster
	MetricsForNobody = "nobody" // there is no such path
)

// validateCallers fails closed: a node that was told to know its callers, but
// not how, does not start.
func (c *Config) validateCallers() error {
	switch c.MetricsFor {
	case MetricsForAnyone, MetricsForAdmins, MetricsForNobody:
	default:
		return fmt.Errorf("metrics for %q: use anyone, admin or nobody", c.MetricsFor)
	}
	if host, _, _ := net.SplitHostPort(c.HTTPAddr); c.Identity == IdentityNone && !c.Insecure && !isLoopback(host) {
		return fmt.Errorf("identity none lets anybody who reaches %s change counters and members; ask for tokens with identity jwt, or listen on 127.0.0.1, or spell out insecure", c.HTTPAddr)
	}
	if host, _, _ := net.SplitHostPort(c.PeerAddr); !c.Insecure && !isLoopback(host) {
		return fmt.Errorf("the peer port asks for no credentials: whoever reaches %s can write to the log; listen on 127.0.0.1, or spell out insecure", c.PeerAddr)
	}
	_, err := c.authenticate()
	return err
}

// authenticate returns what knows the callers of the HTTP API, from files of
// keys that it reads.
func (c *Config) authenticate() (func(http.Header) (identity.Principal, error), error) {
	switch c.Identity {
	case IdentityNone:
		if c.JWTSecretFile != "" || len(c.JWTKeyFiles) > 0 || c.JWTIssuer != "" || c.JWTAudience != "" {
			return nil, errors.New("identity none verifies no tokens, yet it is said how; set identity jwt, or leave out everything that begins with jwt")
		}
		return identity.None, nil
	case IdentityJWT:
		keys, err := c.readKeys()
		if err != nil {
			return nil, err
		}
		verifier, err := identity.NewVerifier(identity.Config{Keys: keys, Issuer: c.JWTIssuer, Audience: c.JWTAudience, Now: c.Clock})
		if err != nil {
			return nil, err
		}
		return verifier.Authenticate, nil
	}
	return nil, fmt.Errorf("identity %q is unknown; use none or jwt", c.Identity)
}

func (c *Config) readKeys() ([]identity.Key, error) {
	if c.JWTSecretFile == "" && len(c.JWTKeyFiles) == 0 {
		return nil, errors.New("identity jwt needs a key to verify tokens with; give a JWT secret file or JWT key files")
	}
	var keys []identity.Key
	if c.JWTSecretFile != "" {
		key, err := identity.ReadSecret(c.JWTSecretFile)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("JWT secret: %w; make one: (umask 077; openssl rand -base64 48 >%s)", err, c.JWTSecretFile)
		}
		if err != nil {
			return nil, fmt.Errorf("JWT secret: %w", err)
		}
		keys = append(keys, key)
	}
	for _, path := range c.JWTKeyFiles {
		more, err := identity.ReadPublicKeys(path)
		if err != nil {
			return nil, fmt.Errorf("JWT key: %w", err)
		}
		keys = append(keys, more...)
	}
	return keys, nil
}

// gatherer is what /metrics shows, nil for no such path.
func (c *Config) gatherer() prometheus.Gatherer {
	if c.MetricsFor == MetricsForNobody {
		return nil
	}
	return c.Metrics
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
