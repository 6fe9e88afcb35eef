package jsonscan

import "bytes"

// scanner walks over JSON text. Its stack is bounded by the depth it is given.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) fail(message string) error { return &Error{s.pos, message} }

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// next is the byte at the position, 0 at the end of the text.
func (s *scanner) next() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) value(depth int) error {
	s.space()
	switch c := s.next(); c {
	case '{', '[':
		if depth == 0 {
			return s.fail("lists and objects are nested too deeply")
		}
		if c == '{' {
			return s.object(depth - 1)
		}
		return s.list(depth - 1)
	case '"':
		return s.text()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

func (s *scanner) object(depth int) error {
	s.pos++
	s.space()
	if s.next() == '}' {
		s.pos++
		return nil
	}
	for {
		s.space()
		if s.next() != '"' {
			return s.fail("a member's name in double quotes is missing")
		}
		if err := s.text(); err != nil {
			return err
		}
		s.space()
		if s.next() != ':' {
			return s.fail(`":" is missing`)
		}
		s.pos++
		if err := s.value(depth); err != nil {
			return err
		}
		if end, err := s.comma('}'); end || err != nil {
			return err
		}
	}
}

func (s *scanner) list(depth int) error {
	s.pos++
	s.space()
	if s.next() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		if end, err := s.comma(']'); end || err != nil {
			return err
		}
	}
}

func (s *scanner) comma(closing byte) (end bool, err error) {
	s.space()
	switch s.next() {
	case closing:
		s.pos++
		return true, nil
	case ',':
		s.pos++
		return false, nil
	}
	return false, s.fail(`"," or "` + string(closing) + `" is missing`)
}

func (s *scanner) text() error {
	s.pos++
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.fail("a control character in a string")
		default:
			s.pos++
		}
	}
	return s.fail("a string without an end")
}

func (s *scanner) escape() error {
	s.pos++
	c := s.next()
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
	default:
		return s.fail("an unknown escape in a string")
	}
	for range 4 {
		s.pos++
		if c := s.next() | 0x20; !digit(s.next()) && (c < 'a' || c > 'f') {
			return s.fail(`four hexadecimal digits are missing after \u`)
		}
	}
	s.pos++
	return nil
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.fail("no JSON value")
	}
	s.pos += len(word)
	return nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) digits() bool {
	start := s.pos
	for digit(s.next()) {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) number() error {
	start := s.pos
	if s.next() == '-' {
		s.pos++
	}
	if s.next() == '0' {
		s.pos++
	} else if !s.digits() {
		s.pos = start
		return s.fail("no JSON value")
	}
	if s.next() == '.' {
		s.pos++
		if !s.digits() {
			return s.fail("digits are missing after the decimal point")
		}
	}
	if s.next()|0x20 == 'e' {
		s.pos++
		if c := s.next(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail("digits are missing in the exponent")
		}
	}
	if s.pos-start > MaxNumber {
		return &Error{start, "a number is too long"}
	}
	return nil
}

// more moves to the next part of a checked list or object, over the comma
// before it.
func (s *scanner) more(closing byte) bool {
	s.space()
	if s.next() == ',' {
		s.pos++
		s.space()
	}
	return s.pos < len(s.data) && s.next() != closing
}

// part cuts the value at the position out of checked text. It counts brackets
// instead of descending, so that walking a deep value level by level costs
// nothing but time.
func (s *scanner) part() []byte {
	s.space()
	start := s.pos
	switch s.next() {
	case '"':
		_ = s.text()
	case '{', '[':
		s.brackets()
	default:
		for s.pos < len(s.data) && !ends(s.data[s.pos]) {
			s.pos++
		}
	}
	return s.data[start:s.pos]
}

func (s *scanner) brackets() {
	open := 0
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '"':
			_ = s.text()
			continue
		case '{', '[':
			open++
		case '}', ']':
			open--
		}
		s.pos++
		if open == 0 {
			return
		}
	}
}

func ends(c byte) bool {
	switch c {
	case ',', '}', ']', ':', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}
