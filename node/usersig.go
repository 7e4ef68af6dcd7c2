package node

import (
	"errors"
	"fmt"
	"net/url"

	"tally/identity"
)

// validateUserSig refuses half of what is needed: a node that was told to verify
// signatures must not serve without.
func (c *Config) validateUserSig() error {
	if (c.UserSigKeyFile == "") != (c.SDKAppID == 0) {
		return errors.New("the UserSig key file and the SDKAppID belong together; give both, or neither")
	}
	if c.UserSigKeyFile != "" && len(c.UserSigAdmins) == 0 {
		return errors.New("no UserSig admins: nobody could call the original's server API; name at least one")
	}
	return nil
}

// authenticateOriginal returns what knows the callers of the original's server
// API by their UserSig, nil if none is asked for.
func (c *Config) authenticateOriginal() (func(url.Values) (identity.Principal, error), error) {
	if c.UserSigKeyFile == "" {
		return nil, nil
	}
	key, err := identity.ReadSecret(c.UserSigKeyFile)
	if err != nil {
		return nil, fmt.Errorf("UserSig key: %w", err)
	}
	verifier, err := identity.NewUserSigVerifier(identity.UserSigConfig{Key: key, AppID: c.SDKAppID, Admins: c.UserSigAdmins, Now: c.Clock})
	if err != nil {
		return nil, err
	}
	return verifier.Authenticate, nil
}
