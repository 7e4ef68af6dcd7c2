// Package identity turns the credentials of a request into a Principal: who
// calls, in which role, and until when that holds.
//
// There are two ways to know a caller. None takes the caller's word for it:
// whoever X-Tally-User names, and everybody may do everything, which is for one
// machine or a network in which everybody is trusted. A Verifier wants a bearer
// token (RFC 6750) that is a JSON Web Token (RFC 7519) signed with a key it
// knows:
//
//	sub   the user, required: as counter.CheckUser says, and not empty
//	role  "user", "service" or "admin"; absent is "user"
//	exp   required; nothing is accepted at or after it
//	nbf, iat   not in the future, by more than Leeway
//	iss, aud   as configured
//
// The original's server API has credentials of its own, which a UserSigVerifier
// knows: see there.
//
// A key has one algorithm and verifies no other: a secret HS256, an RSA key
// RS256, an Ed25519 key EdDSA. What a token says of its algorithm can only
// select among the keys, so neither "none" nor a public key used as a secret
// gets anywhere (RFC 8725, sections 3.1 and 3.2).
//
// What each role may do is one table, see Permissions.
//
// It never logs, and neither an error nor anything it keeps holds a token or a
// key in a form that can be printed. Keys are read once: to change them, start
// the node again. There is no list of revoked tokens: make them short-lived.
package identity
