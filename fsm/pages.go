package fsm

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"
)

const (
	// pageBytes is the size at which a page is cut in two: small enough to be
	// searched from its start and copied for each snapshot, large enough for the
	// pages to be few. A record that is larger has a page of its own.
	pageBytes = 4 << 10
	// recordKeyBytes is how many bytes of a record, its first, are its key.
	recordKeyBytes = 24
)

type recordKey [recordKeyBytes]byte

// pages are records in the order of their keys, copy on write. A record is a
// string of bytes that begins with its key; no two have the same. It grows and
// shrinks at either end for a few bytes moved, which is what a table of recent
// things does nearly always, and in between for the bytes of a page.
//
// Records are packed, without a pointer for each, so that a million of them
// cost the garbage collector nothing. freeze copies the list of pages; the first
// change of a page that a frozen view still holds copies that one page.
//
// It has no lock: the owner calls freeze, thaw and whatever changes it under its
// own. What a view holds never changes and is read without any.
type pages struct {
	list   []page // in order, none empty
	count  int    // of records
	epochs epochs

	framed []byte // memory that the next insertion uses again
}

// page holds some records:
//
//	+----------------+-------------------+----------------+- - -
//	| length uvarint | record: key, rest | length uvarint |
//	+----------------+-------------------+----------------+- - -
type page struct {
	data  []byte
	epoch uint64 // when data was made
}

func newPages() pages { return pages{epochs: newEpochs()} }

// recordAt returns the record whose length stands at data[at], and where the next one starts.
func recordAt(data []byte, at int) (record []byte, next int) {
	length, size := binary.Uvarint(data[at:])
	next = at + size + int(length)
	return data[at+size : next], next
}

func appendRecord(dst, record []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(record))), record...)
}

// find returns the record with the key. It is valid until the next change.
func (p *pages) find(key recordKey) (record []byte, found bool) {
	at, offset, found := p.locate(key)
	if !found {
		return nil, false
	}
	record, _ = recordAt(p.list[at].data, offset)
	return record, true
}

// locate returns the page that has the record with the key, or should have it,
// and where in that page it starts, or should start.
func (p *pages) locate(key recordKey) (at, offset int, found bool) {
	after := sort.Search(len(p.list), func(i int) bool {
		first, _ := recordAt(p.list[i].data, 0)
		return bytes.Compare(first[:recordKeyBytes], key[:]) > 0
	})
	if after == 0 {
		return 0, 0, false
	}
	data := p.list[after-1].data
	for offset < len(data) {
		record, next := recordAt(data, offset)
		if order := bytes.Compare(record[:recordKeyBytes], key[:]); order >= 0 {
			return after - 1, offset, order == 0
		}
		offset = next
	}
	return after - 1, offset, false
}

// insert adds a record whose key is not there yet.
func (p *pages) insert(record []byte) {
	at, offset, _ := p.locate(recordKey(record[:recordKeyBytes]))
	if last := len(p.list) - 1; last < 0 || at == last && offset == len(p.list[last].data) {
		p.append(record)
		return
	}
	p.own(at)
	page := &p.list[at]
	p.framed = appendRecord(p.framed[:0], record)
	page.data = slices.Insert(page.data, offset, p.framed...)
	p.count++
	if len(page.data) > pageBytes {
		p.cut(at)
	}
}

// append adds a record that comes after all others. A full page is left as it
// is and a new one begun: records that come in order fill their pages.
func (p *pages) append(record []byte) {
	size := len(record) + binary.MaxVarintLen32
	if last := len(p.list) - 1; last < 0 || len(p.list[last].data)+size > pageBytes {
		p.list = append(p.list, page{data: make([]byte, 0, max(size, pageBytes)), epoch: p.epochs.current})
	} else {
		p.own(last)
	}
	page := &p.list[len(p.list)-1]
	page.data = appendRecord(page.data, record)
	p.count++
}

// own makes a page one that may be changed.
func (p *pages) own(at int) {
	if page := &p.list[at]; p.epochs.isShared(page.epoch) {
		page.data, page.epoch = bytes.Clone(page.data), p.epochs.current
	}
}

// cut makes two of a page that has grown too large, each of about half its bytes,
// and with no room to spare: it may never be needed.
func (p *pages) cut(at int) {
	data := p.list[at].data
	start, next := 0, 0 // of the record in the middle, and of the one after it
	for next < len(data)/2 {
		start = next
		_, next = recordAt(data, start)
	}
	if next == len(data) {
		next = start // the last record is more than half of the page
	}
	if next == 0 {
		return // it is the only one
	}
	second := page{data: bytes.Clone(data[next:]), epoch: p.epochs.current}
	p.list[at].data = bytes.Clone(data[:next])
	p.list = slices.Insert(p.list, at+1, second)
}

// first returns the record with the smallest key; there must be one. It is valid
// until the next change.
func (p *pages) first() []byte {
	record, _ := recordAt(p.list[0].data, 0)
	return record
}

// removeFirst removes the record with the smallest key. Nothing is written, so
// that a shared page need not be copied.
func (p *pages) removeFirst() {
	first := &p.list[0]
	_, next := recordAt(first.data, 0)
	first.data = first.data[next:]
	if len(first.data) == 0 {
		*first = page{} // the list may keep the place for a long time, and must not keep the page
		p.list = p.list[1:]
	}
	p.count--
}

// pagesView is all records at one moment.
type pagesView struct {
	list  []page
	count int
	epoch uint64
}

// freeze returns all records as they are now. Call thaw when done with it.
func (p *pages) freeze() *pagesView {
	return &pagesView{list: slices.Clone(p.list), count: p.count, epoch: p.epochs.freeze()}
}

// thaw ends the use of a view, exactly once.
func (p *pages) thaw(v *pagesView) { p.epochs.thaw(v.epoch) }

// all gives every record in order.
func (v *pagesView) all(yield func(record []byte) bool) {
	for _, page := range v.list {
		for at := 0; at < len(page.data); {
			record, next := recordAt(page.data, at)
			if !yield(record) {
				return
			}
			at = next
		}
	}
}
