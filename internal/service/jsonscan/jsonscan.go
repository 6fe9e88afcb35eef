// Package jsonscan reads JSON of strangers without building values of it: it
// checks that a text is one well-formed value within limits, cuts objects and
// lists into the texts of their parts, and hashes equal values equally.
// Numbers are never converted, so they reach Python digit by digit as the
// client wrote them.
package jsonscan

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"unicode/utf8"
)

// MaxNumber is the longest number accepted, in bytes: Python refuses to read
// longer integers.
const MaxNumber = 4300

// Error says where a text stops being acceptable JSON.
type Error struct {
	Offset  int // in bytes, from 0
	Message string
}

// Error tells the offset with the message.
func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Message, e.Offset) }

// Check returns nil when data is exactly one JSON value by RFC 8259, in valid
// UTF-8, with lists and objects nested at most depth levels. Every other
// function of this package expects data that was checked.
func Check(data []byte, depth int) error {
	if !utf8.Valid(data) {
		return &Error{invalidUTF8(data), "invalid UTF-8"}
	}
	s := scanner{data: data}
	if err := s.value(depth); err != nil {
		return err
	}
	s.space()
	if s.pos < len(data) {
		return s.fail("text after the end of the value")
	}
	return nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}

// Kind is what a JSON value is.
type Kind string

// The kinds, as messages name them.
const (
	Null   Kind = "null"
	Bool   Kind = "a boolean"
	Number Kind = "a number"
	String Kind = "a string"
	List   Kind = "a list"
	Object Kind = "an object"
)

// KindOf tells the kind of a value by its first byte.
func KindOf(value []byte) Kind {
	s := scanner{data: value}
	s.space()
	if s.pos == len(value) {
		return Null
	}
	switch value[s.pos] {
	case '{':
		return Object
	case '[':
		return List
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// Members yields the members of an object in their order, duplicates too,
// with values as they are written.
func Members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		s := scanner{data: object}
		s.space()
		s.pos++ // {
		for s.more('}') {
			key := s.part()
			s.space()
			s.pos++ // :
			if !yield(Text(key), s.part()) {
				return
			}
		}
	}
}

// Elements yields the elements of a list as they are written.
func Elements(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := scanner{data: list}
		s.space()
		s.pos++ // [
		for s.more(']') {
			if !yield(s.part()) {
				return
			}
		}
	}
}

// Text decodes a string value. Half of a surrogate pair becomes U+FFFD.
func Text(value []byte) string {
	if body := value[1 : len(value)-1]; !slices.Contains(body, '\\') {
		return string(body)
	}
	var text string
	_ = json.Unmarshal(value, &text) // it was checked
	return text
}

// Int returns the integer that value is written as. Fractions and exponents
// are no integers, however they end, and neither is what int64 cannot hold.
func Int(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil && value[0] != '+'
}
