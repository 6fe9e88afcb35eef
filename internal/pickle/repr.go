package pickle

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Repr is the value as Python's repr writes it, or the first limit characters
// of that and "..." where it is longer. It equals Python's text for plain
// values and the types of the standard library that object.go lists; other
// instances, whose classes write their own text, appear as
// <module.Class {...}>. It is UTF-8, with every character that does not print
// escaped.
func (v Value) Repr(limit int) string {
	// Four bytes for each character, so that what is cut here is cut below.
	p := printer{max: 4 * (max(limit, 0) + 1), depth: v.depth}
	p.node(v.node)
	return cut(string(p.buf), limit)
}

// cut shortens s to limit characters and "..." where it has more.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := 0
	for at := range s {
		if n == limit {
			return s[:at] + "..."
		}
		n++
	}
	return s
}

// printer writes Python literals, and stops soon after max bytes.
type printer struct {
	buf   []byte
	max   int
	depth int
	open  []any // the containers that are being written
}

func (p *printer) full() bool { return len(p.buf) > p.max }

func (p *printer) print(s string) { p.buf = append(p.buf, s...) }

func (p *printer) node(node any) {
	switch v := node.(type) {
	case nil:
		p.print("None")
	case bool:
		if v {
			p.print("True")
		} else {
			p.print("False")
		}
	case int64:
		p.buf = strconv.AppendInt(p.buf, v, 10)
	case *big.Int:
		p.big(v)
	case float64:
		p.buf = appendPythonFloat(p.buf, v)
	case text:
		p.text(string(v))
	case raw:
		p.bytes(string(v))
	case global:
		p.global(v)
	case *sequence:
		p.sequence(v)
	case *mapping:
		p.nested(v, "{...}", func() { p.mapping(v) })
	case *object:
		p.nested(v, v.within(), func() { p.object(v) })
	}
}

// nested writes a container, or placeholder where it stands within itself or
// too deep.
func (p *printer) nested(container any, placeholder string, write func()) {
	if len(p.open) >= p.depth || slices.Contains(p.open, container) {
		p.print(placeholder)
		return
	}
	p.open = append(p.open, container)
	write()
	p.open = p.open[:len(p.open)-1]
}

// list writes items with commas between them.
func (p *printer) list(items []any) {
	for i, item := range items {
		if p.full() {
			return
		}
		if i > 0 {
			p.print(", ")
		}
		p.node(item)
	}
}

func (p *printer) sequence(s *sequence) {
	opening, closing, within := s.brackets()
	p.nested(s, within, func() {
		p.print(opening)
		p.list(s.items)
		p.print(closing)
	})
}

// brackets stand around the items; within is what a sequence in itself is.
func (s *sequence) brackets() (opening, closing, within string) {
	empty := len(s.items) == 0
	switch {
	case s.kind == list:
		return "[", "]", "[...]"
	case s.kind == tuple && len(s.items) == 1:
		return "(", ",)", "(...)"
	case s.kind == tuple:
		return "(", ")", "(...)"
	case s.kind == set && !empty:
		return "{", "}", "set(...)"
	case s.kind == frozenset && !empty:
		return "frozenset({", "})", "frozenset(...)"
	}
	return s.kind.String() + "(", ")", ""
}

func (p *printer) mapping(m *mapping) {
	p.print("{")
	p.members(m, 0)
	p.print("}")
}

// members writes the entries of a dict; written says how many stand already.
func (p *printer) members(m *mapping, written int) {
	for i, e := range m.entries {
		if p.full() {
			return
		}
		if written+i > 0 {
			p.print(", ")
		}
		p.node(e.key)
		p.print(": ")
		p.node(e.value)
	}
}

// big writes an integer. Python refuses to write longer ones.
func (p *printer) big(v *big.Int) {
	if digits, ok := decimal(v); ok {
		p.print(digits)
		return
	}
	p.print("<int of " + strconv.Itoa(v.BitLen()) + " bits>")
}

// decimal are the digits of v where they are as many as Python converts.
func decimal(v *big.Int) (string, bool) {
	if v.BitLen() > maxDigits*10/3 { // a digit is 3.32 bits
		return "", false
	}
	digits := v.String()
	return digits, len(strings.TrimPrefix(digits, "-")) <= maxDigits
}

// appendPythonFloat writes v with the fewest digits that mean it, as Python
// does.
func appendPythonFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "nan"...)
	case math.IsInf(v, 1):
		return append(dst, "inf"...)
	case math.IsInf(v, -1):
		return append(dst, "-inf"...)
	}
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	if !slices.Contains(dst[start:], '.') {
		dst = append(dst, ".0"...)
	}
	return dst
}

// quote is the quotation mark that Python puts around s.
func quote(s string) byte {
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		return '"'
	}
	return '\''
}

func (p *printer) text(s string) {
	q := quote(s)
	p.buf = append(p.buf, q)
	for len(s) > 0 && !p.full() {
		r, size := nextRune(s)
		s = s[size:]
		if r < utf8.RuneSelf {
			p.char(byte(r), q)
			continue
		}
		switch {
		case unicode.IsPrint(r):
			p.buf = utf8.AppendRune(p.buf, r)
		case r <= 0xff:
			p.hex('x', r, 2)
		case r <= 0xffff:
			p.hex('u', r, 4)
		default:
			p.hex('U', r, 8)
		}
	}
	p.buf = append(p.buf, q)
}

func (p *printer) bytes(s string) {
	q := quote(s)
	p.buf = append(p.buf, 'b', q)
	for i := 0; i < len(s) && !p.full(); i++ {
		p.char(s[i], q)
	}
	p.buf = append(p.buf, q)
}

// char writes one byte between quotation marks q.
func (p *printer) char(c, q byte) {
	switch {
	case c == q || c == '\\':
		p.buf = append(p.buf, '\\', c)
	case c == '\n':
		p.print(`\n`)
	case c == '\r':
		p.print(`\r`)
	case c == '\t':
		p.print(`\t`)
	case c < ' ' || c >= 0x7f:
		p.hex('x', rune(c), 2)
	default:
		p.buf = append(p.buf, c)
	}
}

func (p *printer) hex(letter byte, r rune, digits int) {
	p.buf = append(p.buf, '\\', letter)
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		p.buf = append(p.buf, "0123456789abcdef"[r>>shift&0xf])
	}
}
