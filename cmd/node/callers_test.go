package main

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tally/identity"
)

// A node that was told to know its callers starts only if it can, and says what
// to do; nothing is written before.
func TestJWTFailsClosed(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string, mode os.FileMode) string {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path(name), mode); err != nil { // not cut by the umask
			t.Fatal(err)
		}
		return path(name)
	}
	const enough = "0123456789abcdef0123456789abcdef"
	secret := write("secret", enough, 0o600)
	for name, test := range map[string]struct{ args, want string }{
		"no key":                      {"--identity=jwt", "give a JWT secret file or JWT key files"},
		"no such secret":              {"--identity=jwt --jwt-secret-file=" + path("none"), "(umask 077; openssl rand -base64 48 >" + path("none") + ")"},
		"a directory":                 {"--identity=jwt --jwt-secret-file=" + dir, "JWT secret"},
		"a short secret":              {"--identity=jwt --jwt-secret-file=" + write("short", enough[1:], 0o600), "at least 32 are needed; make one with: openssl rand"},
		"a secret that all may read":  {"--identity=jwt --jwt-secret-file=" + write("open", enough, 0o604), "chmod o= " + path("open")},
		"a public key as the secret":  {"--identity=jwt --jwt-secret-file=" + write("public", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 0o600), "is no secret"},
		"a secret as a public key":    {"--identity=jwt --jwt-key-file=" + secret, "neither a PEM block nor a JSON Web Key Set"},
		"a private key":               {"--identity=jwt --jwt-key-file=" + write("private", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600), "nodes must not have"},
		"one good key and one bad":    {"--identity=jwt --jwt-secret-file=" + secret + " --jwt-key-file=" + path("none"), "JWT key"},
		"a secret that nobody asks":   {"--jwt-secret-file=" + secret, "set identity jwt"},
		"an issuer that nobody asks":  {"--identity=none --jwt-issuer=me", "set identity jwt"},
		"tokens, and an open port":    {"--identity=jwt --jwt-secret-file=" + secret + " --peer-addr=192.0.2.1:9101", "the peer port asks for no credentials"},
		"no tokens, and an open port": {"--http-addr=192.0.2.1:8101", "spell out insecure"},
		"metrics for whom":            {"--metrics-for=friends", "use anyone, admin or nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			code, _, stderr := run(t, nil, append(strings.Fields(test.args), "--data-dir="+data)...)
			if code != exitUsage || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, stderr %q; want code %d and %q", code, stderr, exitUsage, test.want)
			}
			if strings.Contains(stderr, enough[1:]) {
				t.Errorf("the secret is in the error: %s", stderr)
			}
			if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the data directory was touched: %v", err)
			}
		})
	}
}

// TestSecretsStaySecret runs a node that says all it can, calls it with tokens
// good and bad in every place where one might be put, and looks for them and for
// the secret in everything that the node wrote: its log, its metrics, its data
// and its replies.
func TestSecretsStaySecret(t *testing.T) {
	dir := t.TempDir()
	secret := "a-secret-of-many-bytes-" + strings.Repeat("s3cret", 8)
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	p := start(t, "--identity=jwt", "--jwt-secret-file="+secretFile, "--log-level=trace",
		"--data-dir="+data, "--http-addr="+freeAddr(t), "--peer-addr="+freeAddr(t))
	base, _, _ := strings.Cut(p.urls[0], "/v1/")

	tokens := mintAll(t, secret)
	testStatusNeedsToken(t, base, tokens["an admin's token"], tokens["a user's token"])
	var replies []string
	for _, token := range tokens {
		replies = append(replies, callEverywhere(t, base, token)...)
	}
	metrics := get(t, base+"/metrics", nil)
	if !strings.Contains(metrics, "tally_http_requests_total") {
		t.Errorf("no metrics: %.200s", metrics)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exitCode(t); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, p.stderr)
	}

	written := map[string]string{"the log": p.stderr.String(), "the metrics": metrics, "the replies": strings.Join(replies, "\n")}
	err := filepath.WalkDir(data, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		written[path] = string(content)
		return err
	})
	if err != nil || len(written) < 5 {
		t.Fatalf("%d things were written, %v", len(written), err)
	}
	if !strings.Contains(written["the log"], `"@level":"debug"`) {
		t.Errorf("the log says no more than usual:\n%s", written["the log"])
	}
	hidden := map[string]string{"the secret": secret, "the secret in base64": base64.RawStdEncoding.EncodeToString([]byte(secret))}
	for kind, token := range tokens {
		signature := token[strings.LastIndex(token, ".")+1:]
		hidden[kind], hidden["the signature of "+kind] = token, signature
	}
	for where, text := range written {
		for what, word := range hidden {
			if len(word) > 8 && strings.Contains(text, word) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
}

// testStatusNeedsToken looks at a cluster that asks for tokens.
func testStatusNeedsToken(t *testing.T, url, admin, user string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(admin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, environ := range []string{"TALLY_TOKEN=" + admin, "TALLY_TOKEN_FILE=" + file} {
		if code, stdout, stderr := run(t, []string{environ}, "status", "--leader", "--url", url); code != exitOK || stdout != "n1\n" {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
	}
	for _, environ := range [][]string{nil, {"TALLY_TOKEN=" + user}} {
		code, _, stderr := run(t, environ, "status", "--url", url)
		if code != exitFailure || !strings.Contains(stderr, "Give the token of an admin") || strings.Contains(stderr, user) {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	}
	if code, _, stderr := run(t, nil, "status", "--token-file", file+"x", "--url", url); code != exitUsage {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := run(t, nil, "ready", "--url", url); code != exitOK {
		t.Errorf("ready: exit code %d: %s", code, stderr)
	}
}

// mintAll returns tokens by what they are.
func mintAll(t *testing.T, secret string) map[string]string {
	t.Helper()
	mint := func(secret string, role identity.Role, expires time.Time) string {
		key, err := identity.NewSecret([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		token, err := identity.Mint(key, identity.Claims{User: "ann", Role: role, Issued: expires.Add(-2 * time.Hour), Expires: expires})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	hour := time.Now().Add(time.Hour)
	good := mint(secret, identity.RoleAdmin, hour)
	return map[string]string{
		"a user's token":   mint(secret, identity.RoleUser, hour),
		"an admin's token": good,
		"an old token":     mint(secret, identity.RoleUser, time.Now().Add(-time.Hour)),
		"a forged token":   mint(secret+"!", identity.RoleUser, hour),
		"a broken token":   strings.Replace(good, ".", ".!", 1),
	}
}

// callEverywhere sends requests with the token in its place and in places where
// somebody might put it, and returns the replies to those whose path and query
// do not hold it: an error may quote what was asked for.
func callEverywhere(t *testing.T, base, token string) (replies []string) {
	t.Helper()
	bearer := http.Header{"Authorization": {"Bearer " + token}}
	for _, path := range []string{"/v1/groups/g/counters", "/v1/groups", "/v1/cluster", "/v1/groups/g/watch?wait=0s", "/v1/groups/g/watch?colour=red", "/nowhere"} {
		replies = append(replies, get(t, base+path, bearer))
	}
	for _, header := range []http.Header{
		{"Authorization": {"Basic " + token}}, {"Authorization": {token}}, {"Authorization": {"Bearer " + token, "Bearer " + token}},
		{"Cookie": {"token=" + token}}, {"X-Api-Key": {token}}, {"X-Tally-User": {token}},
		{"Authorization": {"Bearer " + token}, "Accept": {"text/event-stream"}, "Last-Event-Id": {"x"}},
	} {
		replies = append(replies, get(t, base+"/v1/groups/g/counters", header))
	}
	get(t, base+"/v1/groups/g/counters?access_token="+token, nil)
	get(t, base+"/v1/"+token, bearer)
	return replies
}

func get(t *testing.T, url string, header http.Header) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := response.Header.Write(&text); err != nil {
		t.Fatal(err)
	}
	return text.String() + string(body)
}
