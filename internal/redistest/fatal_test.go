package redistest_test

import (
	"fmt"
	"testing"
)

// fatal records the failure that it is told of, and unwinds by a panic.
type fatal struct {
	*testing.T
	text string
}

func (f *fatal) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	panic(f.text)
}
