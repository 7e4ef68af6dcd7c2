package identity

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"tally/counter"
)

const (
	// TokenBytesMax is the longest token: nothing longer is looked at.
	TokenBytesMax = 8 << 10
	// Leeway is how far in the future a token's nbf and iat may be, because its
	// issuer's clock and ours differ. Its end has none.
	Leeway = 5 * time.Second
)

// Config is what a Verifier needs.
type Config struct {
	// Keys are those that callers' tokens may be signed with; at least one.
	Keys []Key
	// Issuer is what iss must be; "" accepts any.
	Issuer string
	// Audience must be among aud. If it is "", tokens with an audience are
	// refused: they are meant for somebody else (RFC 7519, section 4.1.3).
	Audience string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Verifier knows callers by their bearer tokens. It may be used from anywhere at
// any time.
type Verifier struct {
	config     Config
	parser     *jwt.Parser
	algorithms string // for people
	verified   cache
}

// NewVerifier makes a verifier.
func NewVerifier(config Config) (*Verifier, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	var algorithms []string
	for _, key := range config.Keys {
		if key.material == nil {
			return nil, errors.New("identity: an empty key")
		}
		algorithms = append(algorithms, key.Algorithm())
	}
	if len(algorithms) == 0 {
		return nil, errors.New("identity: no key; give a secret file or files with public keys")
	}
	slices.Sort(algorithms)
	algorithms = slices.Compact(algorithms)
	return &Verifier{
		config:     config,
		parser:     jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
		algorithms: strings.Join(algorithms, ", "),
	}, nil
}

// Authenticate says who sends a request with this header. Errors are
// *counter.Error with counter.Unauthenticated; answer them with Challenge. What
// the caller says of itself in X-Tally-User has no meaning here.
func (v *Verifier) Authenticate(header http.Header) (Principal, error) {
	token, err := bearer(header)
	if err != nil {
		return Principal{}, err
	}
	return v.Verify(token)
}

// Verify says whom a token speaks for. Errors are those of Authenticate.
func (v *Verifier) Verify(token string) (Principal, error) {
	if err := checkShape(token); err != nil {
		return Principal{}, err
	}
	now := v.config.Now()
	sum := sha256.Sum256([]byte(token))
	if p, ok := v.verified.get(sum); ok && now.Before(p.Expires) {
		return p, nil
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.candidates); err != nil {
		return Principal{}, v.unverified(err)
	}
	if err := v.check(&c, now); err != nil {
		return Principal{}, err
	}
	p, err := c.principal()
	if err != nil {
		return Principal{}, err
	}
	v.verified.put(sum, p)
	return p, nil
}

// bearer takes the token out of the one Authorization field (RFC 6750, section 2.1).
// Tokens in the query are not taken: queries end up in logs.
func bearer(header http.Header) (string, error) {
	fields := header.Values("Authorization")
	if len(fields) == 0 {
		return "", refuse("send a token: Authorization: Bearer ...")
	}
	if len(fields) > 1 {
		return "", refuse("Authorization is given more than once; give it once")
	}
	scheme, token, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", refuse("the authorization scheme is not Bearer; send a token: Authorization: Bearer ...")
	}
	return strings.Trim(token, " "), nil
}

// checkShape refuses what cannot be a token before anything is decoded. The
// decoder of base64 would pass over line ends.
func checkShape(token string) error {
	if len(token) > TokenBytesMax {
		return refuse("the token has %d bytes; at most %d are accepted", len(token), TokenBytesMax)
	}
	dots := 0
	for _, c := range []byte(token) {
		switch {
		case c == '.':
			dots++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return errMalformed()
		}
	}
	if dots != 2 {
		return errMalformed()
	}
	return nil
}

func refuse(format string, arguments ...any) *counter.Error {
	return counter.Errorf(counter.Unauthenticated, format, arguments...)
}

func errMalformed() *counter.Error {
	return refuse("the token cannot be read as a signed JSON Web Token, or a claim is of the wrong type; get a new one")
}

// candidates returns the keys that may have signed a token: those of its
// algorithm, and of the ID it names unless they have none.
func (v *Verifier) candidates(token *jwt.Token) (any, error) {
	// An extension that must be understood, and we understand none (RFC 7515, section 4.1.11).
	if _, critical := token.Header["crit"]; critical {
		return nil, errors.New("critical header")
	}
	id, _ := token.Header["kid"].(string)
	var set jwt.VerificationKeySet
	for _, key := range v.config.Keys {
		if key.method == token.Method && (key.id == "" || id == "" || key.id == id) {
			verify, _ := key.material()
			set.Keys = append(set.Keys, verify)
		}
	}
	return set, nil // an empty set verifies nothing
}

// unverified explains why a token was not even read. Causes are left out, as
// they may quote it.
func (v *Verifier) unverified(err error) *counter.Error {
	if errors.Is(err, jwt.ErrTokenMalformed) {
		return errMalformed()
	}
	return refuse("the token is not signed with a key that is accepted here (%s); get a new one from the right issuer", v.algorithms)
}

// claims are what a token says. Names are matched exactly and must not be
// repeated: encoding/json would let "ROLE" stand for "role".
type claims struct {
	jwt.RegisteredClaims
	Role *string `json:"role"`
}

// UnmarshalJSON decodes strictly.
func (c *claims) UnmarshalJSON(data []byte) error {
	type plain claims
	return jsonv2.Unmarshal(data, (*plain)(c))
}

var _ json.Unmarshaler = (*claims)(nil)

// check holds the times and the addressee of a token against ours.
func (v *Verifier) check(c *claims, now time.Time) error {
	for _, date := range []*jwt.NumericDate{c.ExpiresAt, c.NotBefore, c.IssuedAt} {
		// Numbers outside int64 have become something else on the way.
		if date != nil && (date.Unix() < 0 || date.Year() > 9999) {
			return refuse("a time in the token is not a number of seconds since 1970; get a new one")
		}
	}
	future := func(date *jwt.NumericDate) bool { return date != nil && now.Add(Leeway).Before(date.Time) }
	switch {
	case c.ExpiresAt == nil:
		return refuse("the token has no time of expiry (exp); get one that has")
	case !now.Before(c.ExpiresAt.Time):
		return refuse("the token expired at %s; get a new one", c.ExpiresAt.UTC().Format(time.RFC3339))
	case future(c.NotBefore), future(c.IssuedAt):
		return refuse("the token is not valid yet: here it is %s; wait, or set the clocks", now.UTC().Format(time.RFC3339))
	case v.config.Issuer != "" && c.Issuer != v.config.Issuer:
		return refuse("the token is from another issuer (iss) than the one accepted here")
	case v.config.Audience == "" && len(c.Audience) > 0:
		return refuse("the token is meant for an audience (aud), and none is configured here")
	case v.config.Audience != "" && !slices.Contains(c.Audience, v.config.Audience):
		return refuse("the token is not meant for this audience (aud)")
	}
	return nil
}

// principal is who the claims speak for.
func (c *claims) principal() (Principal, error) {
	role := RoleUser
	if c.Role != nil {
		role = Role(*c.Role)
	}
	if err := checkClaims(c.Subject, role); err != nil {
		return Principal{}, err
	}
	return Principal{User: c.Subject, Role: role, Limited: role == RoleUser, Expires: c.ExpiresAt.Time}, nil
}

func checkClaims(user string, role Role) error {
	if user == "" {
		return refuse("the token names no user (sub)")
	}
	if err := counter.CheckUser(user); err != nil {
		return refuse("the token's user (sub): %s", err.Detail)
	}
	if !role.known() {
		return refuse("the token's role is none of user, service and admin")
	}
	return nil
}
