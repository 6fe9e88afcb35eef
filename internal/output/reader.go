package output

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// Limits of one Page.
const (
	MaxPageLines = 10_000
	MaxPageBytes = 4 << 20 // of text; one line more may be in it
)

// Page is a part of a job's output.
type Page struct {
	// Lines in the order of their numbers. A number may be missing where
	// output was cut: a line of the stream Distro with the last missing number
	// says so. Open lines, at most one for each stream of a writer, stand
	// behind all that have ended.
	Lines []Line
	// Next is the number to go on with: of the first open line, or behind the
	// last line.
	Next int64
	// Total counts the lines that were ever begun.
	Total int64
	// Writing is true while a writer is open.
	Writing bool
	// Version is for Wait: changes after this Read have higher ones.
	Version uint64
}

// Read returns up to count lines (0: MaxPageLines), beginning with number
// from. A negative from counts from the end: -100 begins with the last hundred
// lines. A job without output has an empty page.
func (s *Store) Read(ctx context.Context, jobID string, from int64, count int) (Page, error) {
	page := Page{Version: s.version.Load()}
	shot, err := s.snapshot(jobID)
	if err != nil {
		return Page{}, fmt.Errorf("read output of job %q: %w", jobID, err)
	}
	page.Writing = shot.writing
	page.Total = shot.next - 1 + int64(len(shot.open))
	if from < 0 {
		from += page.Total + 1
	}
	from = max(from, 1)
	page.Next = from
	if count <= 0 || count > MaxPageLines {
		count = MaxPageLines
	}
	size := 0
	err = shot.each(ctx, from, func(e entry) bool {
		l := e.line()
		page.Lines = append(page.Lines, l)
		if !l.Open {
			page.Next = l.Number + 1
		}
		size += len(l.Text)
		return len(page.Lines) < count && size < MaxPageBytes
	})
	if err != nil {
		return Page{}, fmt.Errorf("read output of job %q from line %d: %w", jobID, from, err)
	}
	return page, nil
}

// WriteText writes the whole output as plain text: what the job printed, with
// notes of the orchestrator on lines that begin with "distro: ".
func (s *Store) WriteText(ctx context.Context, jobID string, w io.Writer) error {
	shot, err := s.snapshot(jobID)
	if err != nil {
		return fmt.Errorf("read output of job %q: %w", jobID, err)
	}
	out := bufio.NewWriterSize(w, MaxLine)
	var before Line
	var failed error
	err = shot.each(ctx, 1, func(e entry) bool {
		l := e.line()
		failed = writeLine(out, before, l)
		before = l
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("write output of job %q as text: %w", jobID, err)
	}
	if before.Continued {
		_ = out.WriteByte('\n') // an error stays in out
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write output of job %q as text: %w", jobID, err)
	}
	return nil
}

// writeLine joins the parts of a long line, unless another stream is between.
func writeLine(out *bufio.Writer, before, l Line) error {
	if before.Continued && before.Stream != l.Stream {
		_ = out.WriteByte('\n') // an error stays in out
	}
	if l.Stream == Distro {
		_, _ = out.WriteString("distro: ")
	}
	_, err := out.WriteString(l.Text)
	if l.Continued {
		return err
	}
	return out.WriteByte('\n')
}

// entry is what a reader comes by: a line, or a gap where lines are missing.
type entry struct {
	number  int64 // of the line, or of the last missing one
	before  int64 // bytes of all lines before it, or before what follows the gap
	attempt int
	record
	lines int64 // how many are missing; 0: it is a line
	bytes int64 // of those
}

// line is what readers see of it.
func (e entry) line() Line {
	l := Line{
		Number: e.number, At: e.at, Stream: e.stream, Attempt: e.attempt,
		Open: e.flag == flagOpen, Continued: e.flag == flagContinued,
	}
	if e.lines > 0 {
		l.Text = fmt.Sprintf("… %s bytes (%s lines) cut …", group(e.bytes), group(e.lines))
	} else {
		l.Text = strings.ToValidUTF8(string(e.text), "\uFFFD")
	}
	return l
}

// snapshot is what a job's files hold at one moment. The parts of the files it
// names do not change; segments may be removed.
type snapshot struct {
	place    place
	segments []segment
	next     int64
	text     int64
	open     []entry
	writing  bool
}

func (s *Store) snapshot(jobID string) (snapshot, error) {
	f := s.acquire(jobID)
	defer s.release(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded {
		shot := f.shot(f.state)
		for _, w := range f.writers {
			shot.open = append(shot.open, w.openLines()...)
		}
		return shot.numbered(), nil
	}
	found, err := f.place.load()
	if err != nil {
		return snapshot{}, err
	}
	shot := f.shot(found)
	for _, r := range found.open {
		shot.open = append(shot.open, entry{attempt: found.origin.attempt, record: r})
	}
	return shot.numbered(), nil
}

func (f *jobFile) shot(s state) snapshot {
	shot := snapshot{
		place: f.place, segments: slices.Clone(s.segments),
		next: s.next, text: s.text, writing: len(f.writers) > 0,
	}
	if n := len(shot.segments); n > 0 && shot.segments[n-1].size == 0 {
		shot.segments = shot.segments[:n-1] // begun, and nothing written
	}
	return shot
}

func (s snapshot) numbered() snapshot {
	before := s.text
	for i := range s.open {
		s.open[i].number, s.open[i].before = s.next+int64(i), before
		before += int64(len(s.open[i].text)) + 1
	}
	return s
}

// openLines returns the lines of a writer that have text and have not ended.
func (w *Writer) openLines() []entry {
	var lines []entry
	for i, o := range w.open {
		if len(o.text) > 0 {
			line := appendRecord(nil, o.at, Stream(letters[i]), flagOpen, o.text, nil)
			r := parseRecord(line[:len(line)-1]) // a copy: the line goes on
			lines = append(lines, entry{attempt: w.origin.attempt, record: r})
		}
	}
	return lines
}

// hasOpen reports whether a writer has open lines.
func (w *Writer) hasOpen() bool {
	return slices.ContainsFunc(w.open[:], func(o openLine) bool { return len(o.text) > 0 })
}

// walk is a reader's way through the files of a snapshot.
type walk struct {
	from  int64 // lines before it are passed over
	yield func(entry) bool

	known   bool // whether number and text are
	number  int64
	text    int64
	at      time.Time // of the last line passed
	attempt int
	done    bool // yield wants no more
}

// each calls yield with the lines from number from on until it returns false.
// The text of an entry is valid until yield returns.
func (s snapshot) each(ctx context.Context, from int64, yield func(entry) bool) error {
	w := walk{from: from, yield: yield, known: true, number: 1}
	first := 0
	for i, segment := range s.segments {
		if segment.first.number <= from {
			first = i
		}
	}
	for i := first; i < len(s.segments) && !w.done; i++ {
		if err := w.segment(ctx, s.place, s.segments[i], i == first); err != nil {
			return err
		}
	}
	w.gap(mark{s.next, s.text, origin{attempt: w.attempt}})
	for _, e := range s.open {
		w.pass(e)
	}
	return nil
}

// segment passes the lines of one file. The way begins at the last mark before
// the line wanted.
func (w *walk) segment(ctx context.Context, p place, s segment, first bool) error {
	file, err := os.Open(p.path(s.number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // cut meanwhile: a gap
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var at int64
	if first && s.first.number <= w.from {
		if at, err = findMark(file, s.size, w.from); err != nil {
			return err
		}
		w.known = false
	}
	lines := newLineReader(file, at, s.size)
	for !w.done && lines.next() {
		if m, ok := parseMark(lines.line); ok {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.gap(m)
			w.attempt = m.origin.attempt
			continue
		}
		r := parseRecord(lines.line)
		if w.number >= w.from {
			w.pass(entry{number: w.number, before: w.text, attempt: w.attempt, record: r})
		}
		w.at = r.at
		w.number++
		w.text += int64(len(r.text)) + 1
	}
	return lines.err
}

// gap goes on at m, and passes an entry when lines before it are missing.
func (w *walk) gap(m mark) {
	if w.known && m.number <= w.number {
		return
	}
	if w.known && m.number > w.from {
		w.pass(entry{
			number: m.number - 1, before: m.text, attempt: w.attempt, record: record{at: w.at, stream: Distro, flag: flagEnded},
			lines: m.number - w.number, bytes: m.text - w.text,
		})
	}
	w.known, w.number, w.text = true, m.number, m.text
}

func (w *walk) pass(e entry) {
	if !w.done && e.number >= w.from {
		w.done = !w.yield(e)
	}
}
