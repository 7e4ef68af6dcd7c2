package node_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tally/node"
)

// TestUserSigOpensTheOriginalsAPI: a node that was given the key serves who signs
// with it, and nobody else.
func TestUserSigOpensTheOriginalsAPI(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := node.Default()
	config.DataDir, config.HTTPAddr, config.PeerAddr = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	config.Fatal = func(err error) { t.Error(err) }
	config.UserSigKeyFile, config.SDKAppID = path, 1400000000
	n, err := node.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct{ user, key, want string }{
		{"administrator", key, `"ErrorCode":0,"GroupCounter":[{"Key":"like","Value":5}]`},
		{"administrator", key[1:] + "0", `"ErrorCode":60004`},
		{"ann", key, `"ErrorCode":60010`},
	} {
		query := url.Values{"sdkappid": {"1400000000"}, "identifier": {c.user}, "usersig": {userSig(t, c.key, c.user)}, "contenttype": {"json"}}
		body := strings.NewReader(`{"GroupId":"g","GroupCounter":[{"Key":"like","Value":5}],"Mode":"Set"}`)
		reply, err := http.Post(n.HTTPURL()+"/v4/group_open_http_svc/update_group_counter?"+query.Encode(), "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		if err != nil || reply.StatusCode != 200 || !strings.Contains(string(text), c.want) {
			t.Errorf("%s: got %d %s, %v; want %s", c.user, reply.StatusCode, text, err, c.want)
		}
	}
}

// userSig signs for an hour.
func userSig(t *testing.T, key, user string) string {
	t.Helper()
	now := time.Now().Unix()
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "TLS.identifier:%s\nTLS.sdkappid:1400000000\nTLS.time:%d\nTLS.expire:3600\n", user, now)
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	fmt.Fprintf(w, `{"TLS.ver":"2.0","TLS.identifier":%q,"TLS.sdkappid":1400000000,"TLS.expire":3600,"TLS.time":%d,"TLS.sig":%q}`,
		user, now, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("+", "*", "/", "-", "=", "_").Replace(base64.StdEncoding.EncodeToString(packed.Bytes()))
}
