package peer

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fullHello has every field set, each to another value.
func fullHello(t testing.TB) Hello {
	h := Hello{
		NodeID: "n1", Incarnation: "7f3a", ClusterID: "c9",
		PeerAddr: "10.0.0.1:9101", HTTPURL: "http://10.0.0.1:8101", CommandVersion: 3,
	}
	v := reflect.ValueOf(h)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("field %s is new: set it here and see that it is carried", v.Type().Field(i).Name)
		}
	}
	return h
}

func encodedHello(t testing.TB, h Hello) []byte {
	t.Helper()
	body, err := h.appendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := greeting{version: protocolVersion, typ: greetingHello, kind: kindCalls, body: body}.encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The bytes of version 1. They may not change while nodes of that version run.
const goldenHello = "544c5970" + "0001" + "01" + "02" + "0034" +
	"0002" + "6e31" + "0004" + "37663361" + "0002" + "6339" +
	"000d" + "31302e302e302e313a39313031" +
	"0014" + "687474703a2f2f31302e302e302e313a38313031" + "03" +
	"09aaba8f"

func TestHelloKeepsItsBytes(t *testing.T) {
	if got := hex.EncodeToString(encodedHello(t, fullHello(t))); got != goldenHello {
		t.Errorf("bytes\n%s, want\n%s", got, goldenHello)
	}
}

func TestHelloIsReadBack(t *testing.T) {
	want := fullHello(t)
	r := bytes.NewReader(append(encodedHello(t, want), "what follows"...))
	g, err := readGreeting(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeHello(g.body); err != nil || got != want {
		t.Errorf("read %+v, error %v", got, err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "what follows" {
		t.Errorf("%q is left for the stream", rest)
	}
}

func TestHelloThatIsTooLargeIsNotSent(t *testing.T) {
	body, err := Hello{NodeID: strings.Repeat("n", greetingBytesMax)}.appendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (greeting{body: body}).encode(); err == nil {
		t.Error("it was encoded")
	}
}

func TestDamagedHello(t *testing.T) {
	good := encodedHello(t, fullHello(t))
	for n := range good {
		if _, err := readGreeting(bytes.NewReader(good[:n])); err == nil {
			t.Fatalf("the first %d bytes pass", n)
		}
		bad := slices.Clone(good)
		bad[n] ^= 0x40
		if _, err := readGreeting(bytes.NewReader(bad)); err == nil {
			t.Fatalf("byte %d flipped passes", n)
		}
	}
}

func TestLongReasonIsCutBetweenCharacters(t *testing.T) {
	got, err := decodeReason(encodeReason(strings.Repeat("é", refusalReasonBytes)))
	if err != nil || strings.Trim(got, "é") != "" || len(got) < refusalReasonBytes-1 || len(got) > refusalReasonBytes {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

func FuzzReadGreeting(f *testing.F) {
	golden, _ := hex.DecodeString(goldenHello)
	f.Add(golden)
	refused, _ := greeting{version: 2, typ: greetingRefused, kind: kindRaft, body: encodeReason("no")}.encode()
	f.Add(refused)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := readGreeting(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := g.encode()
		if err != nil || !bytes.HasPrefix(data, again) {
			t.Fatalf("%+v is encoded as %x, error %v", g, again, err)
		}
		if h, err := decodeHello(g.body); err == nil {
			if body, err := h.appendTo(nil); err != nil || !bytes.Equal(body, g.body) {
				t.Fatalf("%+v is encoded as %x, error %v", h, body, err)
			}
		}
		if reason, err := decodeReason(g.body); err == nil && len(reason) > 3*len(g.body) {
			t.Fatalf("reason %q", reason)
		}
	})
}

// The bytes of one request of version 1.
const goldenFrame = "00000010" + "01" + "07" + "0000000000000102" + "000003e8" + "6869"

func TestFrameKeepsItsBytes(t *testing.T) {
	f := frame{kind: frameRequest, method: 7, id: 0x102, timeoutMs: 1000, payload: []byte("hi")}
	data := appendFrame(nil, f)
	if got := hex.EncodeToString(data); got != goldenFrame {
		t.Errorf("bytes %s, want %s", got, goldenFrame)
	}
	got, err := readFrame(bufio.NewReader(bytes.NewReader(data)))
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("read %+v, error %v", got, err)
	}
}

func TestBadFrames(t *testing.T) {
	good := appendFrame(nil, frame{kind: frameReply, id: 9, payload: []byte("payload")})
	withLength := func(n uint32) []byte {
		bad := slices.Clone(good)
		bad[0], bad[1], bad[2], bad[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		return bad
	}
	for name, data := range map[string][]byte{
		"shorter than its fixed part": withLength(frameFixedBytes - 1),
		"larger than allowed":         withLength(frameFixedBytes + PayloadBytesMax + 1),
		"largest uint32":              withLength(1<<32 - 1),
		"kind 0":                      append(slices.Clone(good[:4]), append([]byte{0}, good[5:]...)...),
		"kind 6":                      append(slices.Clone(good[:4]), append([]byte{6}, good[5:]...)...),
		"cut in the header":           good[:frameHeaderBytes-1],
		"cut in the payload":          good[:len(good)-1],
		"cut before the payload":      good[:frameHeaderBytes],
	} {
		if f, err := readFrame(bufio.NewReader(bytes.NewReader(data))); err == nil || err == io.EOF {
			t.Errorf("%s: read %+v, error %v", name, f, err)
		}
	}
	if _, err := readFrame(bufio.NewReader(bytes.NewReader(nil))); err != io.EOF {
		t.Errorf("an end between frames: error %v, want EOF", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	golden, _ := hex.DecodeString(goldenFrame)
	f.Add(golden)
	f.Add(appendFrame(appendFrame(nil, frame{kind: framePing}), frame{kind: frameError, method: failBusy, id: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		var again []byte
		for {
			got, err := readFrame(r)
			if err != nil {
				break
			}
			again = appendFrame(again, got)
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("what was read is encoded as %x", again)
		}
	})
}

func TestOutboxGivesBackWhatIsNotWritten(t *testing.T) {
	o := newOutbox(nil, newMetrics())
	for id := range uint64(4) {
		if !o.put(frame{kind: frameRequest, id: id + 1, payload: make([]byte, id)}) {
			t.Fatal("refused")
		}
	}
	if !o.takeBack(2) || o.takeBack(2) || o.takeBack(9) {
		t.Error("only 2 can be taken back, and once")
	}
	if unsent := o.close(); !reflect.DeepEqual(unsent, map[uint64]bool{1: true, 3: true, 4: true}) {
		t.Errorf("unsent %v", unsent)
	}
	if o.put(frame{kind: frameRequest, id: 5}) {
		t.Error("a closed outbox took a frame")
	}
	if err := o.run(); err != nil {
		t.Errorf("run after close: %v", err)
	}
}

func TestOutboxLeavesWhatIsBeingWritten(t *testing.T) {
	o := newOutbox(nil, newMetrics())
	o.put(frame{kind: frameRequest, id: 1})
	o.take(nil)
	o.put(frame{kind: frameRequest, id: 2})
	if o.takeBack(1) {
		t.Error("1 was handed to a write")
	}
	if unsent := o.close(); !reflect.DeepEqual(unsent, map[uint64]bool{2: true}) {
		t.Errorf("unsent %v", unsent)
	}
}

func TestErrorsThatAreGarbage(t *testing.T) {
	for name, data := range map[string]string{
		"http":           "GET / HTTP/1.1\r\nHost: n1\r\n\r\n",
		"tls":            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03",
		"body too large": "TLYp\x00\x01\x01\x02\xff\xff" + strings.Repeat("x", 70000),
	} {
		if _, err := readGreeting(strings.NewReader(data)); !errors.Is(err, errGarbage) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
