package jsonscan

import (
	"cmp"
	"slices"
	"strconv"
)

// AppendCanonical appends an encoding of value to dst that is the same for
// equal values: spaces, the order of members and the spelling of strings do
// not matter, of equal keys the last counts, and numbers are equal when they
// are written equally. The encoding is for hashing; it is not JSON.
func AppendCanonical(dst, value []byte) []byte {
	s := scanner{data: value}
	return s.canonical(dst)
}

// canonical encodes in one pass over the text, however deep the value is.
func (s *scanner) canonical(dst []byte) []byte {
	s.space()
	switch s.next() {
	case '{':
		return s.canonicalObject(dst)
	case '[':
		s.pos++
		dst = append(dst, '[')
		for s.more(']') {
			dst = append(s.canonical(dst), ',')
		}
		s.pos++
		return append(dst, ']')
	case '"':
		return appendText(dst, Text(s.part()))
	}
	return append(dst, s.part()...)
}

func (s *scanner) canonicalObject(dst []byte) []byte {
	type member struct {
		key        string
		start, end int // of its encoding in dst
	}
	s.pos++
	dst = append(dst, '{')
	first := len(dst)
	var members []member
	for s.more('}') {
		m := member{key: Text(s.part()), start: len(dst)}
		s.space()
		s.pos++ // :
		dst = append(s.canonical(appendText(dst, m.key)), ',')
		m.end = len(dst)
		members = append(members, m)
	}
	s.pos++
	slices.SortStableFunc(members, func(a, b member) int { return cmp.Compare(a.key, b.key) })
	sorted := make([]byte, 0, len(dst)-first)
	for i, m := range members {
		if i+1 == len(members) || members[i+1].key != m.key {
			sorted = append(sorted, dst[m.start:m.end]...)
		}
	}
	return append(append(dst[:first], sorted...), '}')
}

func appendText(dst []byte, text string) []byte {
	dst = strconv.AppendInt(append(dst, '"'), int64(len(text)), 10)
	return append(append(dst, ':'), text...)
}
