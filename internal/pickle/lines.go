package pickle

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// The opcodes of protocol 0, whose operands are lines of text.

// line is the next line without its end.
func (d *decoder) line() string {
	n := strings.IndexByte(d.src[d.pos:], '\n')
	if n < 0 {
		d.fail("a line does not end")
	}
	return strings.TrimSuffix(d.take(uint64(n+1)), "\n")
}

func (d *decoder) lineIndex() int {
	n, err := strconv.ParseUint(d.line(), 10, 31)
	if err != nil {
		d.fail("a number is malformed")
	}
	return int(n)
}

// lineInt reads an integer, or a boolean: 00 and 01.
func (d *decoder) lineInt() {
	switch line := d.line(); line {
	case "00":
		d.push(false)
	case "01":
		d.push(true)
	default:
		d.decimal(line)
	}
}

func (d *decoder) lineLong() { d.decimal(strings.TrimSuffix(d.line(), "L")) }

func (d *decoder) decimal(line string) {
	if n, err := strconv.ParseInt(line, 10, 64); err == nil {
		d.push(n)
		return
	}
	if len(line) <= maxDigits+1 {
		if n, ok := new(big.Int).SetString(line, 10); ok {
			d.push(normal(n))
			return
		}
	}
	d.fail("an integer is malformed or too long")
}

func (d *decoder) lineFloat() {
	f, err := strconv.ParseFloat(d.line(), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		d.fail("a float is malformed")
	}
	d.push(f)
}

// lineUnicode reads Python's raw-unicode-escape: Latin-1 with \u and \U.
func (d *decoder) lineUnicode() {
	line := d.line()
	decoded := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c != '\\' || i+1 == len(line) {
			decoded = appendRune(decoded, rune(c))
			continue
		}
		i++
		width := 4
		switch line[i] {
		case 'U':
			width = 8
		case 'u':
		default:
			decoded = appendRune(append(decoded, '\\'), rune(line[i]))
			continue
		}
		r, ok := hexRune(line[i+1:], width)
		if !ok {
			d.fail("an escape is malformed")
			return
		}
		decoded = appendRune(decoded, r)
		i += width
	}
	d.push(text(decoded))
}

// hexRune is the character that the first digits of s number.
func hexRune(s string, width int) (rune, bool) {
	if len(s) < width {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:width], 16, 32)
	return rune(n), err == nil && n <= 0x10ffff
}

// lineString reads a str of Python 2 as Python 2 printed it.
func (d *decoder) lineString() {
	line := strings.TrimSpace(d.line())
	n := len(line)
	if n < 2 || line[0] != line[n-1] || line[0] != '\'' && line[0] != '"' {
		d.fail("a string is not in quotes")
		return
	}
	line = line[1 : n-1]
	decoded := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == '\\' && i+1 < len(line) {
			var used int
			if c, used = unescape(line[i+1:]); used == 0 {
				d.fail("an escape is malformed")
				return
			}
			i += used
		}
		decoded = append(decoded, c)
	}
	d.push(ancient(string(decoded)))
}

// unescape is the byte that the escape behind a backslash means, and how many
// bytes it takes; an escape that Python 2 did not print takes none.
func unescape(s string) (byte, int) {
	const letters, values = `\'"nrt`, "\\'\"\n\r\t"
	if i := strings.IndexByte(letters, s[0]); i >= 0 {
		return values[i], 1
	}
	if s[0] == 'x' && len(s) >= 3 {
		if n, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
			return byte(n), 3
		}
	}
	return 0, 0
}

// ancient is a str of Python 2: text where it is ASCII, as Python 3 takes it,
// bytes otherwise.
func ancient(s string) any {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return raw(s)
		}
	}
	return text(s)
}
