package e2e_test

import (
	"testing"
)

// TestWhatTheDocumentsSayHappens follows each document from its begin to its
// end: every block of sh does what it says, and what the document shows of its
// output, or of an answer, is what there is.
func TestWhatTheDocumentsSayHappens(t *testing.T) {
	t.Parallel()
	for name, needs := range map[string]need{
		"docs/api.md":              {},
		"docs/getting-started.md":  {},
		"docs/python.md":           {redis: true},
		"docs/rq-compatibility.md": {redis: true},
		"docs/workers.md":          {redis: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks := fences(t, name)
			if ran := newReader(t, name, needs).follow(blocks); ran == 0 {
				t.Error("nothing was run")
			}
		})
	}
}
