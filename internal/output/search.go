package output

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
)

// MaxMatches is how far matches are counted.
const MaxMatches = 10_000

// Query selects lines of a job's output. The zero Query selects all.
type Query struct {
	// Text must stand in the line. Upper and lower case are the same for ASCII
	// letters and those of Latin-1, accents are not.
	Text string
	// Level is the least one the line must have.
	Level Level
	From  int64 // number of the first line returned; less than 1: 1
	Count int   // lines returned at most; 0: MaxPageLines
}

// Matches is what a Query found.
type Matches struct {
	Page
	// Found counts the lines of all the output that match, those before
	// Query.From too, up to MaxMatches. Page.Next is where to look for more.
	Found int
	// More is true when there are, or may be, more than Found.
	More bool
}

// Search returns lines that match. It reads all output that the job has,
// unless it has found enough before the end.
func (s *Store) Search(ctx context.Context, jobID string, q Query) (Matches, error) {
	m := Matches{Page: Page{Version: s.version.Load()}}
	shot, err := s.snapshot(jobID)
	if err != nil {
		return Matches{}, fmt.Errorf("search output of job %q: %w", jobID, err)
	}
	m.Writing, m.Next = shot.writing, shot.next
	m.Total = shot.next - 1 + int64(len(shot.open))
	if q.Count <= 0 || q.Count > MaxPageLines {
		q.Count = MaxPageLines
	}
	match := matcher{text: fold(nil, []byte(q.Text), true), level: q.Level}
	match.accents = bytes.IndexByte(match.text, 0xC3) >= 0
	size, full := 0, false
	err = shot.each(ctx, 1, func(e entry) bool {
		if e.lines > 0 || !match.matches(e) {
			return true
		}
		if m.Found == MaxMatches {
			m.More = true
		} else {
			m.Found++
		}
		if e.number >= q.From && !full {
			l := e.line()
			m.Lines = append(m.Lines, l)
			size += len(l.Text)
			if full = len(m.Lines) == q.Count || size >= MaxPageBytes; full && !l.Open {
				m.Next = l.Number + 1
			}
		}
		return !full || !m.More
	})
	if err != nil {
		return Matches{}, fmt.Errorf("search output of job %q for %q: %w", jobID, q.Text, err)
	}
	m.Next = max(m.Next, q.From)
	return m, nil
}

// matcher decides about lines.
type matcher struct {
	text    []byte // folded
	accents bool   // text has some
	level   Level
	folded  []byte // scratch
}

func (m *matcher) matches(e entry) bool {
	if len(m.text) > 0 {
		if len(e.text) < len(m.text) {
			return false
		}
		m.folded = fold(m.folded[:0], e.text, m.accents)
		if !bytes.Contains(m.folded, m.text) {
			return false
		}
	}
	return m.level == LevelAny || levelOf(e.stream, e.text) >= m.level
}

// fold appends text with lower-case letters: those of ASCII, and of Latin-1
// where accents is set.
func fold(to, text []byte, accents bool) []byte {
	begin := len(to)
	to = append(to, text...)
	for rest := to[begin:]; len(rest) > 0; {
		if len(rest) < 8 {
			for i, c := range rest {
				if c-'A' < 26 {
					rest[i] = c + 'a' - 'A'
				}
			}
			break
		}
		binary.LittleEndian.PutUint64(rest, lower(binary.LittleEndian.Uint64(rest)))
		rest = rest[8:]
	}
	if !accents {
		return to
	}
	for rest := to[begin:]; ; {
		lead := bytes.IndexByte(rest, 0xC3)
		if lead < 0 || lead+1 == len(rest) {
			return to
		}
		if c := rest[lead+1]; c-0x80 < 0x1F && c != 0x97 { // À to Þ in UTF-8, not ×
			rest[lead+1] = c + 0x20
		}
		rest = rest[lead+1:]
	}
}

// lower turns the capitals of ASCII among eight bytes into small letters. Each
// byte is worked on in its lower seven bits, so that no sum reaches the next.
func lower(x uint64) uint64 {
	const each = 0x0101010101010101
	bits := x & (0x7F * each)
	fromA := bits + (0x80-'A')*each
	behindZ := bits + (0x7F-'Z')*each
	capital := (fromA ^ behindZ) & ^x & (0x80 * each)
	return x | capital>>2
}

// Level is how grave a line is.
type Level int

// The levels of Python's logging.
const (
	LevelAny Level = iota
	LevelDebug
	LevelInfo
	LevelWarning
	LevelError
	LevelCritical
)

// ParseLevel reads the name of a level. The empty one is LevelAny.
func ParseLevel(name string) (Level, bool) {
	if name == "" {
		return LevelAny, true
	}
	level := levelNamed(strings.ToUpper(name))
	return level, level != LevelAny
}

func levelNamed(word string) Level {
	switch word {
	case "DEBUG", "TRACE":
		return LevelDebug
	case "INFO", "NOTICE", "SUCCESS":
		return LevelInfo
	case "WARNING", "WARN":
		return LevelWarning
	case "ERROR":
		return LevelError
	case "CRITICAL", "FATAL":
		return LevelCritical
	}
	return LevelAny
}

// levelWithin is how far into a line its level is looked for.
const levelWithin = 200

// levelOf is the level that a line names in capitals, as logging writes it.
// Python's tracebacks, and what they end with, are errors. Of other lines,
// those on stderr and the orchestrator's notes are warnings, and the rest is
// information.
func levelOf(s Stream, text []byte) Level {
	text = text[:min(len(text), levelWithin)]
	if bytes.HasPrefix(text, []byte("Traceback (most recent call last)")) || raised(text) {
		return LevelError
	}
	for i := 0; i < len(text); {
		if !isWord(text[i]) {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && isWord(text[end]) {
			end++
		}
		if n := end - i; n >= len("INFO") && n <= len("CRITICAL") && text[i]-'A' < 26 {
			if level := levelNamed(string(text[i:end])); level != LevelAny {
				return level
			}
		}
		i = end
	}
	if s == Stdout {
		return LevelInfo
	}
	return LevelWarning
}

// raised reports whether a line is the last of a traceback: "ValueError: x".
func raised(text []byte) bool {
	end := 0
	for end < len(text) && (isWord(text[end]) || text[end] == '.') {
		end++
	}
	name := text[:end]
	if end < len(text) && text[end] != ':' {
		return false
	}
	return bytes.HasSuffix(name, []byte("Error")) || bytes.HasSuffix(name, []byte("Exception"))
}

func isWord(c byte) bool {
	return c-'A' < 26 || c-'a' < 26 || c-'0' < 10 || c == '_'
}
