package metrics

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// maxLabel bounds the length of a label's value in bytes.
const maxLabel = 200

// labels gives the first names that come a label each, and all others one.
type labels struct {
	mu   sync.Mutex
	left int
	seen map[string]bool
}

func newLabels(limit int, first ...string) *labels {
	l := &labels{left: limit, seen: map[string]bool{}}
	for _, name := range first {
		l.label(name)
	}
	return l
}

// label is the value for a name: UTF-8, as the format demands it.
func (l *labels) label(name string) string {
	name = tidy(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.seen[name]:
		return name
	case l.left == 0:
		return Other
	}
	l.left--
	l.seen[strings.Clone(name)] = true
	return name
}

func tidy(name string) string {
	if len(name) > maxLabel {
		end := maxLabel
		for end > 0 && !utf8.RuneStart(name[end]) {
			end--
		}
		name = name[:end]
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}
