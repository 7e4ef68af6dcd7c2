package fsm

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// testRecord has a key that is ordered as given and so many bytes more.
func testRecord(order uint64, length int, fill byte) []byte {
	record := make([]byte, recordKeyBytes+length)
	binary.BigEndian.PutUint64(record, order)
	for i := range length {
		record[recordKeyBytes+i] = fill
	}
	return record
}

func collect(v *pagesView) (records [][]byte) {
	for record := range v.all {
		records = append(records, bytes.Clone(record))
	}
	return records
}

// checkPages checks what pages promise about themselves.
func checkPages(t testing.TB, p *pages) {
	t.Helper()
	var last []byte
	count := 0
	for i, page := range p.list {
		records := 0
		for at := 0; at < len(page.data); {
			record, next := recordAt(page.data, at)
			if bytes.Compare(record[:recordKeyBytes], last) <= 0 {
				t.Fatalf("page %d: a record is out of order", i)
			}
			last, at = record[:recordKeyBytes], next
			records++
		}
		if records == 0 || records > 1 && len(page.data) > 2*pageBytes {
			t.Errorf("page %d has %d records in %d bytes", i, records, len(page.data))
		}
		count += records
	}
	if count != p.count {
		t.Errorf("%d records are counted where there are %d", p.count, count)
	}
}

// TestPagesAgainstASortedSlice adds and removes records in several orders, while
// views are frozen and thawed, and compares with a slice.
func TestPagesAgainstASortedSlice(t *testing.T) {
	for name, order := range map[string]func(r *rand.Rand, i int) uint64{
		"ascending":        func(_ *rand.Rand, i int) uint64 { return uint64(i) + 1<<32 },
		"descending":       func(_ *rand.Rand, i int) uint64 { return 1<<32 - uint64(i) },
		"about ascending":  func(r *rand.Rand, i int) uint64 { return uint64(i)<<24 + r.Uint64N(1<<30) },
		"in any order":     func(r *rand.Rand, _ int) uint64 { return r.Uint64() },
		"at the same time": func(r *rand.Rand, _ int) uint64 { return r.Uint64N(1 << 16) },
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			p := newPages()
			var want [][]byte
			type frozen struct {
				view    *pagesView
				records [][]byte
			}
			var views []frozen
			for i := range 3000 {
				length := r.IntN(60)
				if r.IntN(200) == 0 {
					length = r.IntN(3 * pageBytes)
				}
				record := testRecord(order(r, i), length, byte(i))
				at, found := slices.BinarySearchFunc(want, record[:recordKeyBytes], func(a, key []byte) int { return bytes.Compare(a[:recordKeyBytes], key) })
				if got, known := p.find(recordKey(record[:recordKeyBytes])); known != found || found && !bytes.Equal(got, want[at]) {
					t.Fatalf("find = %x, %t, want %t", got, known, found)
				}
				if !found {
					p.insert(bytes.Clone(record))
					want = slices.Insert(want, at, record)
				}
				if len(want) > 1000 || r.IntN(4) == 0 {
					if got := p.first(); !bytes.Equal(got, want[0]) {
						t.Fatalf("first = %x, want %x", got, want[0])
					}
					p.removeFirst()
					want = want[1:]
				}
				switch r.IntN(100) {
				case 0:
					views = append(views, frozen{p.freeze(), slices.Clone(want)})
				case 1:
					if len(views) > 0 {
						at := r.IntN(len(views))
						if !slices.EqualFunc(collect(views[at].view), views[at].records, bytes.Equal) {
							t.Fatal("a view is not what was frozen")
						}
						p.thaw(views[at].view)
						views = slices.Delete(views, at, at+1)
					}
				}
			}
			checkPages(t, &p)
			if !slices.EqualFunc(collect(p.freeze()), want, bytes.Equal) {
				t.Fatal("the records differ")
			}
		})
	}
}

// TestPagesAreFull says what records of 52 bytes cost when nobody makes it easy.
func TestPagesAreFull(t *testing.T) {
	for name, order := range map[string]func(r *rand.Rand, i int) uint64{
		"ascending":       func(_ *rand.Rand, i int) uint64 { return uint64(i) },
		"descending":      func(_ *rand.Rand, i int) uint64 { return 1<<32 - uint64(i) },
		"about ascending": func(r *rand.Rand, i int) uint64 { return uint64(i)<<10 + r.Uint64N(1<<20) },
		"in any order":    func(r *rand.Rand, _ int) uint64 { return r.Uint64() },
	} {
		r := rand.New(rand.NewPCG(3, 4))
		p := newPages()
		for i := range 20_000 {
			p.insert(testRecord(order(r, i), 52-recordKeyBytes, 0))
		}
		bytes := 0
		for _, page := range p.list {
			bytes += cap(page.data)
		}
		each := bytes / p.count
		t.Logf("%s: %d bytes", name, each)
		if each > 80 {
			t.Errorf("%s: a record takes %d bytes", name, each)
		}
	}
}

// TestPagesAreCopiedOnce counts what a view costs the writers.
func TestPagesAreCopiedOnce(t *testing.T) {
	p := newPages()
	for i := range uint64(1000) {
		p.append(testRecord(i<<8, 20, 0))
	}
	view := p.freeze()
	before := collect(view)
	change := func(order uint64) {
		p.removeFirst()
		p.insert(testRecord(order, 20, 0))
	}
	for i := range uint64(3) {
		change(200<<8 + 1 + i)
	}
	// The page that was changed was full, and was cut in two.
	if got := len(made(&p, view.list)); got != 2 {
		t.Errorf("%d pages were made for three changes of one", got)
	}
	if !slices.EqualFunc(collect(view), before, bytes.Equal) {
		t.Error("a frozen view changed")
	}
	p.thaw(view)
	p.thaw(p.freeze())
	now := slices.Clone(p.list)
	change(200<<8 + 9)
	if got := len(made(&p, now)); got != 0 {
		t.Errorf("%d pages that no view holds any more were copied", got)
	}
}

// made returns the pages whose memory is that of none of the others.
func made(p *pages, others []page) (made []page) {
	end := func(data []byte) *byte { return &data[:cap(data)][cap(data)-1] } // stays when records are removed
	for _, one := range p.list {
		if !slices.ContainsFunc(others, func(other page) bool { return end(other.data) == end(one.data) }) {
			made = append(made, one)
		}
	}
	return made
}
