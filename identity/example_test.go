package identity_test

import (
	"fmt"
	"net/http"
	"time"

	"tally/identity"
)

func ExampleVerifier() {
	key, err := identity.NewSecret([]byte("at least 32 bytes that nobody guesses"))
	if err != nil {
		panic(err)
	}
	verifier, err := identity.NewVerifier(identity.Config{Keys: []identity.Key{key}})
	if err != nil {
		panic(err)
	}
	token, err := identity.Mint(key, identity.Claims{User: "ann", Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		panic(err)
	}

	ann, err := verifier.Authenticate(http.Header{"Authorization": {"Bearer " + token}})
	fmt.Println(ann.User, ann.Role, ann.Limited, err)
	fmt.Println(ann.Check(identity.SeeCluster))

	_, err = verifier.Authenticate(http.Header{})
	fmt.Println(err)
	// Output:
	// ann user true <nil>
	// forbidden: role user may not see the cluster; use a token with role admin
	// unauthenticated: send a token: Authorization: Bearer ...
}
