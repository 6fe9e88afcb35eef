package form

import "time"

// Reader is who reads a form: how they write, and how they are told something.
type Reader struct {
	Zone    *time.Location
	Decimal string // the sign before decimals: a comma or a point
	// Text is the text of a key, with {0}, {1}… replaced by args.
	Text func(key string, args ...any) string
	// Bytes writes a size.
	Bytes func(n int64) string
}
