package identity

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"tally/counter"
)

const (
	// UserSigBytesMax is the longest UserSig: nothing longer is looked at.
	UserSigBytesMax = 4 << 10
	// userSigDocumentBytesMax is how much a UserSig may decompress to. An honest
	// one has a few hundred bytes; four thousand can claim to be four million.
	userSigDocumentBytesMax = 8 << 10
	// DefaultUserSigAdmin is the application administrator that the original
	// gives every application.
	DefaultUserSigAdmin = "administrator"
)

// UserSigConfig is what a UserSigVerifier needs.
type UserSigConfig struct {
	// Key is the secret of the application, an HS256 key: see ReadSecret.
	Key Key
	// AppID is the application's SDKAppID.
	AppID uint64
	// Admins are the users that may call the server API; at least one. End users
	// hold signatures made with the same key, so a good signature is not enough.
	Admins []string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// UserSigVerifier knows the callers of the original's server API by the
// signature in their query, of the scheme that its public libraries call
// TLSSigAPIv2. It may be used from anywhere at any time.
//
// A UserSig is a JSON object, compressed (zlib, RFC 1950), in base64 with '*',
// '-' and '_' for '+', '/' and '=':
//
//	TLS.ver         "2.0"
//	TLS.identifier  the user
//	TLS.sdkappid    the application
//	TLS.time        when it was made, in Unix seconds
//	TLS.expire      for how many seconds it holds
//	TLS.userbuf     base64, optional: what other products are to know
//	TLS.sig         HMAC-SHA256 of the lines that signedText writes, in base64
type UserSigVerifier struct {
	secret []byte
	config UserSigConfig
}

// NewUserSigVerifier makes a verifier.
func NewUserSigVerifier(config UserSigConfig) (*UserSigVerifier, error) {
	switch {
	case config.Key.material == nil || config.Key.method != jwt.SigningMethodHS256:
		return nil, errors.New("identity: a UserSig is verified with a secret")
	case config.AppID == 0:
		return nil, errors.New("identity: a UserSig is verified for one SDKAppID; give it")
	case len(config.Admins) == 0 || slices.Contains(config.Admins, ""):
		return nil, errors.New("identity: no administrator, or one without a name, may use a UserSig")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	secret, _ := config.Key.material()
	return &UserSigVerifier{secret: secret.([]byte), config: config}, nil
}

// GoString keeps the secret from being printed.
func (v *UserSigVerifier) GoString() string { return v.String() }

// String names the application.
func (v *UserSigVerifier) String() string {
	return fmt.Sprintf("UserSig of SDKAppID %d", v.config.AppID)
}

// Authenticate says who sends a request with this query: sdkappid, identifier
// and usersig. The caller has the role of a service. Errors are *counter.Error:
// counter.Unauthenticated with the parameter that is wrong, or
// counter.Forbidden for a user who is no administrator.
func (v *UserSigVerifier) Authenticate(query url.Values) (Principal, error) {
	for _, name := range []string{"sdkappid", "identifier", "usersig"} {
		if given := query[name]; len(given) != 1 || given[0] == "" {
			return Principal{}, refuse("give %s once in the query", name).WithParam(name)
		}
	}
	if query.Get("sdkappid") != strconv.FormatUint(v.config.AppID, 10) {
		return Principal{}, refuse("the sdkappid is not the one that is served here").WithParam("sdkappid")
	}
	return v.verify(query.Get("identifier"), query.Get("usersig"))
}

// verify says whether the signature is the user's, and still holds.
func (v *UserSigVerifier) verify(user, signature string) (Principal, error) {
	document, err := openUserSig(signature)
	if err != nil {
		return Principal{}, refuse("the usersig cannot be read; make a new one").WithParam("usersig")
	}
	if !document.isSigned(v.secret) {
		return Principal{}, refuse("the usersig is not signed with the key that is accepted here; make a new one").WithParam("usersig")
	}
	if err := document.check(user, v.config.AppID, v.config.Now()); err != nil {
		return Principal{}, err
	}
	if !slices.Contains(v.config.Admins, user) {
		return Principal{}, counter.Errorf(counter.Forbidden, "only administrators of the application may call this; use the UserSig of one").WithParam("identifier")
	}
	return Principal{User: user, Role: RoleService, Expires: document.expires()}, nil
}

// userSig is the document that a UserSig holds.
type userSig struct {
	Version    string  `json:"TLS.ver"`
	Identifier string  `json:"TLS.identifier"`
	AppID      uint64  `json:"TLS.sdkappid"`
	Time       int64   `json:"TLS.time"`
	Expire     int64   `json:"TLS.expire"`
	UserBuf    *string `json:"TLS.userbuf"`
	Sig        string  `json:"TLS.sig"`
}

// openUserSig decodes a UserSig. Nothing that it says is true before isSigned.
func openUserSig(text string) (*userSig, error) {
	if len(text) > UserSigBytesMax {
		return nil, errors.New("too long")
	}
	compressed, err := userSigEncoding().DecodeString(text)
	if err != nil {
		return nil, err
	}
	reader, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(reader, userSigDocumentBytesMax+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > userSigDocumentBytesMax:
		return nil, errors.New("decompresses to too much")
	}
	document := new(userSig)
	return document, jsonv2.Unmarshal(data, document)
}

func userSigEncoding() *base64.Encoding {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-"
	return base64.NewEncoding(alphabet).WithPadding('_').Strict()
}

// signedText is what the signature is of.
func (d *userSig) signedText() []byte {
	text := fmt.Appendf(nil, "TLS.identifier:%s\nTLS.sdkappid:%d\nTLS.time:%d\nTLS.expire:%d\n", d.Identifier, d.AppID, d.Time, d.Expire)
	if d.UserBuf != nil {
		text = fmt.Appendf(text, "TLS.userbuf:%s\n", *d.UserBuf)
	}
	return text
}

// isSigned tells, in constant time, whether the secret's owner signed it.
func (d *userSig) isSigned(secret []byte) bool {
	mac := hmac.New(sha256.New, secret)
	mac.Write(d.signedText()) // never fails
	return hmac.Equal([]byte(d.Sig), []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))))
}

// check holds a document that is signed against the request.
func (d *userSig) check(user string, appID uint64, now time.Time) error {
	const secondsMax = 1 << 40 // far beyond any date, and no sum of two overflows
	if d.Version != "2.0" || d.Time < 0 || d.Time > secondsMax || d.Expire <= 0 || d.Expire > secondsMax {
		return refuse("the usersig is of another version, or its times make no sense; make a new one").WithParam("usersig")
	}
	// A line end in a name could make one signed text of two documents.
	if err := counter.CheckUser(d.Identifier); err != nil {
		return refuse("the identifier: %s", err.Detail).WithParam("identifier")
	}
	switch {
	case d.AppID != appID:
		return refuse("the usersig is for another sdkappid").WithParam("sdkappid")
	case d.Identifier != user:
		return refuse("the usersig is of another identifier").WithParam("identifier")
	case now.Add(Leeway).Before(time.Unix(d.Time, 0)):
		return refuse("the usersig is not valid yet: here it is %s; set the clocks", now.UTC().Format(time.RFC3339)).WithParam("usersig")
	case !now.Before(d.expires()):
		return refuse("the usersig expired at %s; make a new one", d.expires().UTC().Format(time.RFC3339)).WithParam("usersig")
	}
	return nil
}

func (d *userSig) expires() time.Time { return time.Unix(d.Time+d.Expire, 0) }
