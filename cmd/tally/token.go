package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tally/identity"
)

// tokenBytesMax is more than a token has.
const tokenBytesMax = 64 << 10

// readToken reads a bearer token from a file.
func readToken(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, tokenBytesMax))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("--token-file: %s does not hold one token and nothing else", name)
	}
	return token, nil
}

// minting are the flags of token.
type minting struct {
	secretFile, keyFile string
	user, role          string
	lifetime            time.Duration
	issuer, audience    string
}

func (p *program) tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Make a token for development and tests",
		Long: `Make a token that nodes with --identity jwt accept, signed with the secret that they verify with or
with the private half of a public key they have, and print it. It is for development and tests: in earnest
tokens come from whoever knows your users.`,
		Example: `  openssl rand -base64 48 > secret && chmod 600 secret
  tally token --secret-file secret --user alice > token
  tally --token-file token increase room likes

  tally token --private-key-file key.pem --user deploy --role admin --lifetime 10m`,
		Args: arguments(0, 0, "--secret-file FILE --user NAME"),
	}
	var m minting
	c.Flags().StringVar(&m.secretFile, "secret-file", "", "`file` with the secret of HS256, at least 32 bytes")
	c.Flags().StringVar(&m.keyFile, "private-key-file", "", "PEM `file` with an RSA (RS256) or Ed25519 (EdDSA) private key")
	// It hides the flag of the same name that all commands have: there is no caller here.
	c.Flags().StringVar(&m.user, "user", "", "`name` of the user; required")
	c.Flags().StringVar(&m.role, "role", string(identity.RoleUser), "user, service or admin")
	c.Flags().DurationVar(&m.lifetime, "lifetime", time.Hour, "how long it is valid")
	c.Flags().StringVar(&m.issuer, "issuer", "", "the claim iss, if nodes ask for one")
	c.Flags().StringVar(&m.audience, "audience", "", "the claim aud, if nodes ask for one")
	c.RunE = func(*cobra.Command, []string) error {
		token, err := m.mint(time.Now())
		if err != nil {
			return usageError{err}
		}
		if p.form() == formJSON || p.form() == formYAML {
			return p.print(document{value: map[string]any{"token": token}})
		}
		_, err = fmt.Fprintln(p.Stdout, token)
		return err
	}
	return c
}

func known(role identity.Role) bool { return slices.Contains(tokenRoles(), string(role)) }

func tokenRoles() (names []string) {
	for _, role := range identity.Roles() {
		names = append(names, string(role))
	}
	return names
}

func (m *minting) mint(now time.Time) (string, error) {
	var key identity.Key
	var err error
	switch {
	case (m.secretFile == "") == (m.keyFile == ""):
		return "", errors.New("name one of --secret-file and --private-key-file; a secret is made by: openssl rand -base64 48 > secret && chmod 600 secret")
	case m.user == "":
		return "", errors.New("name the user: --user NAME")
	case !known(identity.Role(m.role)):
		return "", fmt.Errorf("there is no role %q; there are: %v", m.role, identity.Roles())
	case m.lifetime < time.Second:
		return "", errors.New("--lifetime must be at least 1s")
	case m.secretFile != "":
		key, err = identity.ReadSecret(m.secretFile)
	default:
		key, err = identity.ReadPrivateKey(m.keyFile)
	}
	if err != nil {
		return "", err
	}
	return identity.Mint(key, identity.Claims{
		User: m.user, Role: identity.Role(m.role), Issued: now, Expires: now.Add(m.lifetime),
		Issuer: m.issuer, Audience: m.audience,
	})
}
