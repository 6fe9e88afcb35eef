package output

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The format of the files is normative in docs/output-format.md.

// MaxLine is the longest text of one line, in bytes. A longer one becomes
// several lines, all but the last with Line.Continued.
const MaxLine = 64 << 10

// Stream tells who wrote a line.
type Stream byte

// The streams.
const (
	Stdout Stream = 'o'
	Stderr Stream = 'e'
	Distro Stream = 'd' // a note of the orchestrator
)

// String is the stream's name as the API shows it.
func (s Stream) String() string {
	switch s {
	case Stdout:
		return "stdout"
	case Stderr:
		return "stderr"
	default:
		return "distro"
	}
}

const letters = "oed"

// slot is the stream's place in letters, and in arrays by stream; -1 for no
// stream.
func (s Stream) slot() int { return strings.IndexByte(letters, byte(s)) }

// Line is one line of a job's output.
type Line struct {
	Number    int64 // from 1, counting every line ever written, also those that were cut
	At        time.Time
	Stream    Stream
	Attempt   int
	Text      string // without the line's end; invalid UTF-8 is replaced by U+FFFD
	Open      bool   // it has not ended yet: read it again later under the same or a higher number
	Continued bool   // longer than MaxLine: it goes on in the next line of its stream
}

// flag says how a record ends.
type flag byte

const (
	flagEnded     flag = ' '
	flagContinued flag = '+'
	flagOpen      flag = '>' // provisional: stands at the end of the file and is overwritten
)

// stamp is a time as records have it: 16 digits of microseconds.
type stamp [16]byte

func makeStamp(at time.Time) stamp {
	const largest = 9_999_999_999_999_999
	var s stamp
	us := min(max(at.UnixMicro(), 0), largest)
	for i := len(s) - 1; i >= 0; i-- {
		s[i] = byte('0' + us%10)
		us /= 10
	}
	return s
}

// recordHead is the length of what stands before a record's text:
// "1763928000123456 o ".
const recordHead = len(stamp{}) + 3

// record is one line of a file that is not a mark.
type record struct {
	at     time.Time
	stream Stream
	flag   flag
	text   []byte
}

// appendRecord appends a record whose text is begin followed by end.
func appendRecord(buf []byte, at stamp, s Stream, f flag, begin, end []byte) []byte {
	buf = append(buf, at[:]...)
	buf = append(buf, ' ', byte(s), byte(f))
	buf = append(buf, begin...)
	buf = append(buf, end...)
	return append(buf, '\n')
}

// parseRecord reads a line of a file. One that is no record, which only
// damage to the file can make, is shown whole as a note.
func parseRecord(line []byte) record {
	damaged := record{at: time.UnixMicro(0).UTC(), stream: Distro, flag: flagEnded, text: line}
	if len(line) < recordHead || line[16] != ' ' || Stream(line[17]).slot() < 0 {
		return damaged
	}
	var us int64
	for _, c := range line[:16] {
		if c < '0' || c > '9' {
			return damaged
		}
		us = us*10 + int64(c-'0')
	}
	f := flag(line[18])
	if f != flagEnded && f != flagContinued && f != flagOpen {
		return damaged
	}
	return record{
		at: time.UnixMicro(us).UTC(), stream: Stream(line[17]), flag: f,
		text: line[recordHead:],
	}
}

// mark is a line of a file that tells where the reader is. Every file begins
// with one and has one at least every markEvery bytes plus a record.
type mark struct {
	number int64  // of the line that follows
	text   int64  // bytes of all lines before it, their ends included
	origin origin // of the lines that follow
}

// origin says where lines come from: the attempt that printed them and, if it
// ran elsewhere, how far its output has come.
type origin struct {
	attempt int
	run     string // the name of what was received; empty: it was written here
	line    int64  // number within the run of the line that follows
	before  int64  // bytes of all lines of the run before it, their ends included
}

// same reports whether lines of both may stand behind one mark.
func (o origin) same(other origin) bool {
	return o.attempt == other.attempt && o.run == other.run && o.line == other.line
}

// pass counts a line of a text.
func (o *origin) pass(text int) {
	if o.run != "" {
		o.line++
		o.before += int64(text) + 1
	}
}

const (
	markEvery = 64 << 10
	maxMark   = 200 // longest mark, in bytes
	markHead  = "# line "
)

// runPattern is the name of a run. It stands in marks.
var runPattern = regexp.MustCompile(`^[0-9a-f]{8,32}$`)

func appendMark(buf []byte, m mark) []byte {
	buf = append(buf, markHead...)
	buf = strconv.AppendInt(buf, m.number, 10)
	buf = append(buf, " text "...)
	buf = strconv.AppendInt(buf, m.text, 10)
	buf = append(buf, " attempt "...)
	buf = strconv.AppendInt(buf, int64(m.origin.attempt), 10)
	if m.origin.run != "" {
		buf = append(buf, " run "...)
		buf = append(buf, m.origin.run...)
		buf = append(buf, " line "...)
		buf = strconv.AppendInt(buf, m.origin.line, 10)
		buf = append(buf, " text "...)
		buf = strconv.AppendInt(buf, m.origin.before, 10)
	}
	return append(buf, '\n')
}

// parseMark reads a line of a file as a mark. No output of a job can look like
// one: records begin with a digit.
func parseMark(line []byte) (mark, bool) {
	if len(line) > maxMark || !bytes.HasPrefix(line, []byte(markHead)) {
		return mark{}, false
	}
	f := strings.Fields(string(line))
	if len(f) < 7 || f[3] != "text" || f[5] != "attempt" {
		return mark{}, false
	}
	number, ok1 := parseCount(f[2])
	text, ok2 := parseCount(f[4])
	attempt, err := strconv.Atoi(f[6])
	m := mark{number, text, origin{attempt: attempt}}
	ok := ok1 && ok2 && err == nil && number >= 1 && m.origin.parseRun(f[7:])
	return m, ok
}

// parseRun reads what a mark says of a run, which may be nothing.
func (o *origin) parseRun(f []string) bool {
	if len(f) == 0 {
		return true
	}
	if len(f) != 6 || f[0] != "run" || f[2] != "line" || f[4] != "text" || !runPattern.MatchString(f[1]) {
		return false
	}
	var ok1, ok2 bool
	o.run = f[1]
	o.line, ok1 = parseCount(f[3])
	o.before, ok2 = parseCount(f[5])
	return ok1 && ok2 && o.line >= 1
}

// maxCount bounds the numbers of lines and bytes that are believed.
const maxCount = 1 << 60

// parseCount reads a number that can be counted on.
func parseCount(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && n < maxCount
}

// splitAt is where a line that is longer than text, and goes on with next, is
// split: not within a character.
func splitAt(text []byte, next byte) int {
	if utf8.RuneStart(next) {
		return len(text)
	}
	for i := 1; i < utf8.UTFMax; i++ {
		if utf8.RuneStart(text[len(text)-i]) {
			return len(text) - i
		}
	}
	return len(text)
}

// group writes n with a comma every three digits.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
