package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	errDepth  = errors.New("it is nested too deeply")
	errLength = errors.New("it is longer than 4 GiB")
)

// maxDigits is the longest integer that Python converts from and to text.
const maxDigits = 4300

// AppendJSON appends the pickle of what Python's json.loads makes of text to
// dst: integers of any length stay exact, numbers with a fraction or an
// exponent are floats and may overflow to infinity, half of a surrogate pair
// stays what it is, and of equal keys the last value counts. The text must be
// JSON by RFC 8259 in UTF-8, nested at most MaxDepth levels, with integers of
// at most 4300 digits; else it is refused, and dst is returned as it was.
func AppendJSON(dst, text []byte) ([]byte, error) {
	out, err := appendJSON(append(dst, opProto, protocol), text, anything)
	if err != nil {
		return dst, fmt.Errorf("write JSON as pickle: %w", err)
	}
	return append(out, opStop), nil
}

// AppendCall appends the pickle of RQ's call tuple (function, None, args,
// kwargs) to dst. The arguments are the texts of a JSON list, written as a
// tuple, and of a JSON object; an empty text means none. AppendJSON says how
// they are taken; what is refused leaves dst as it was.
func AppendCall(dst []byte, function string, args, kwargs []byte) ([]byte, error) {
	out, err := appendString(append(dst, opProto, protocol, opMark), function)
	if err != nil {
		return dst, fmt.Errorf("write the call's function: %w", err)
	}
	out = append(out, opNone)
	if len(args) == 0 {
		out = append(out, opEmptyTuple)
	} else if out, err = appendJSON(out, args, aTuple); err != nil {
		return dst, fmt.Errorf("write the arguments of %q: %w", function, err)
	}
	if len(kwargs) == 0 {
		out = append(out, opEmptyDict)
	} else if out, err = appendJSON(out, kwargs, aDict); err != nil {
		return dst, fmt.Errorf("write the keyword arguments of %q: %w", function, err)
	}
	return append(out, opTuple, opStop), nil
}

// transcoder writes JSON as opcodes in one pass. Its stack is bounded by the
// depth it is given.
type transcoder struct {
	text []byte
	pos  int
}

// wanted says what a text must be, and what becomes of it.
type wanted int

const (
	anything wanted = iota
	aTuple          // of a list
	aDict           // of an object
)

// appendJSON writes the one value that text is.
func appendJSON(dst, text []byte, want wanted) ([]byte, error) {
	if !utf8.Valid(text) {
		return dst, errors.New("the text is not UTF-8")
	}
	if uint64(len(text)) > math.MaxUint32 {
		return dst, errLength
	}
	t := transcoder{text: text}
	t.space()
	var err error
	switch {
	case want == aTuple && t.next() != '[':
		err = t.fail("a list is missing")
	case want == aTuple:
		dst, err = t.tuple(dst, MaxDepth)
	case want == aDict && t.next() != '{':
		err = t.fail("an object is missing")
	default:
		dst, err = t.value(dst, MaxDepth)
	}
	if err != nil {
		return dst, err
	}
	if t.space(); t.pos < len(text) {
		return dst, t.fail("there is text after the value")
	}
	return dst, nil
}

func (t *transcoder) fail(message string) error {
	return fmt.Errorf("at byte %d: %s", t.pos, message)
}

func (t *transcoder) space() {
	for t.pos < len(t.text) {
		switch t.text[t.pos] {
		case ' ', '\t', '\n', '\r':
			t.pos++
		default:
			return
		}
	}
}

// next is the byte at the position, 0 at the end of the text.
func (t *transcoder) next() byte {
	if t.pos < len(t.text) {
		return t.text[t.pos]
	}
	return 0
}

// value writes the value that begins at the position.
func (t *transcoder) value(dst []byte, depth int) ([]byte, error) {
	switch c := t.next(); c {
	case '{':
		return t.object(dst, depth)
	case '[':
		return t.list(dst, depth)
	case '"':
		return t.string(dst)
	case 't':
		return t.literal(dst, "true", opNewTrue)
	case 'f':
		return t.literal(dst, "false", opNewFalse)
	case 'n':
		return t.literal(dst, "null", opNone)
	default:
		return t.number(dst)
	}
}

func (t *transcoder) literal(dst []byte, word string, opcode byte) ([]byte, error) {
	if len(t.text)-t.pos < len(word) || string(t.text[t.pos:t.pos+len(word)]) != word {
		return dst, t.fail("a value is missing")
	}
	t.pos += len(word)
	return append(dst, opcode), nil
}

func (t *transcoder) list(dst []byte, depth int) ([]byte, error) {
	dst, n, err := t.elements(append(dst, opEmptyList), depth, 0)
	if n > 0 {
		dst = append(dst, opAppends)
	}
	return dst, err
}

// tuple writes a list as a tuple. The first three elements would need no mark.
func (t *transcoder) tuple(dst []byte, depth int) ([]byte, error) {
	dst, n, err := t.elements(dst, depth, 3)
	return append(dst, tupleEnd(n)), err
}

// elements writes the elements of a list and counts them, behind a mark where
// they are more than unmarked.
func (t *transcoder) elements(dst []byte, depth, unmarked int) ([]byte, int, error) {
	if depth == 0 {
		return dst, 0, errDepth
	}
	t.pos++
	if t.space(); t.next() == ']' {
		t.pos++
		return dst, 0, nil
	}
	start := len(dst)
	for n := 0; ; {
		if n == unmarked {
			dst = slices.Insert(dst, start, opMark)
		}
		n++
		var err error
		if dst, err = t.value(dst, depth-1); err != nil {
			return dst, n, err
		}
		if end, err := t.separator(']'); end || err != nil {
			return dst, n, err
		}
	}
}

// object writes the members as they come. Python's unpickler sets them in
// this order, so equal keys end as json.loads has them end.
func (t *transcoder) object(dst []byte, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, errDepth
	}
	t.pos++
	dst = append(dst, opEmptyDict)
	if t.space(); t.next() == '}' {
		t.pos++
		return dst, nil
	}
	dst = append(dst, opMark)
	for {
		if t.next() != '"' {
			return dst, t.fail("the name of a member is missing")
		}
		var err error
		if dst, err = t.string(dst); err != nil {
			return dst, err
		}
		if t.space(); t.next() != ':' {
			return dst, t.fail(`":" is missing`)
		}
		t.pos++
		t.space()
		if dst, err = t.value(dst, depth-1); err != nil {
			return dst, err
		}
		if end, err := t.separator('}'); end || err != nil {
			return append(dst, opSetItems), err
		}
	}
}

// separator passes what stands behind an element; end says it was the last.
func (t *transcoder) separator(closing byte) (end bool, err error) {
	t.space()
	switch t.next() {
	case ',':
		t.pos++
		t.space()
		return false, nil
	case closing:
		t.pos++
		return true, nil
	}
	return false, t.fail(`"," or "` + string(closing) + `" is missing`)
}

func (t *transcoder) string(dst []byte) ([]byte, error) {
	dst = append(dst, opBinUnicode, 0, 0, 0, 0)
	start := len(dst)
	t.pos++
	for {
		run := t.pos
		for t.pos < len(t.text) && t.text[t.pos] >= ' ' && t.text[t.pos] != '"' && t.text[t.pos] != '\\' {
			t.pos++
		}
		dst = append(dst, t.text[run:t.pos]...)
		switch t.next() {
		case '"':
			t.pos++
			binary.LittleEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
			return dst, nil
		case '\\':
			var err error
			if dst, err = t.escape(dst); err != nil {
				return dst, err
			}
		default:
			return dst, t.fail("a string does not end, or holds a control character")
		}
	}
}

func (t *transcoder) escape(dst []byte) ([]byte, error) {
	t.pos++
	c := t.next()
	t.pos++
	switch c {
	case '"', '\\', '/':
		return append(dst, c), nil
	case 'b':
		return append(dst, '\b'), nil
	case 'f':
		return append(dst, '\f'), nil
	case 'n':
		return append(dst, '\n'), nil
	case 'r':
		return append(dst, '\r'), nil
	case 't':
		return append(dst, '\t'), nil
	case 'u':
		if r, ok := t.unit(t.pos); ok {
			t.pos += 4
			if low, ok := t.unit(t.pos + 2); ok && t.text[t.pos] == '\\' && t.text[t.pos+1] == 'u' {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					t.pos += 6
					r = pair
				}
			}
			return appendRune(dst, r), nil
		}
	}
	t.pos--
	return dst, t.fail("no escape of JSON")
}

// unit reads four hexadecimal digits.
func (t *transcoder) unit(pos int) (rune, bool) {
	if len(t.text) < pos+4 {
		return 0, false
	}
	var r rune
	for _, c := range t.text[pos : pos+4] {
		digit, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | digit
	}
	return r, true
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0'), true
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10, true
	}
	return 0, false
}

func (t *transcoder) digits() int {
	start := t.pos
	for t.pos < len(t.text) && '0' <= t.text[t.pos] && t.text[t.pos] <= '9' {
		t.pos++
	}
	return t.pos - start
}

func (t *transcoder) number(dst []byte) ([]byte, error) {
	start := t.pos
	if t.next() == '-' {
		t.pos++
	}
	leading := t.next()
	integer := t.digits()
	if integer == 0 || integer > 1 && leading == '0' {
		return dst, t.fail("a value is missing, or a number is malformed")
	}
	isFloat := false
	if t.next() == '.' {
		t.pos++
		if isFloat = true; t.digits() == 0 {
			return dst, t.fail("a number is malformed")
		}
	}
	if c := t.next(); c == 'e' || c == 'E' {
		t.pos++
		if c := t.next(); c == '+' || c == '-' {
			t.pos++
		}
		if isFloat = true; t.digits() == 0 {
			return dst, t.fail("a number is malformed")
		}
	}
	text := t.text[start:t.pos]
	if isFloat {
		f, _ := strconv.ParseFloat(string(text), 64) // beyond the range it is infinite, as in Python
		return appendFloat(dst, f), nil
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return appendInt(dst, n), nil
	}
	if integer > maxDigits {
		return dst, t.fail("an integer has more digits than Python converts")
	}
	n, _ := new(big.Int).SetString(string(text), 10)
	return appendBig(dst, n), nil
}
