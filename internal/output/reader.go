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
	err = shot.each(ctx, from, func(l Line) bool {
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
	err = shot.each(ctx, 1, func(l Line) bool {
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

// snapshot is what a job's files hold at one moment. The parts of the files it
// names do not change; segments may be removed.
type snapshot struct {
	place    place
	segments []segment
	next     int64
	text     int64
	open     []Line
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
		shot.open = append(shot.open, r.line(0, found.attempt))
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
	for i := range s.open {
		s.open[i].Number = s.next + int64(i)
		s.open[i].Open = true
	}
	return s
}

// openLines returns the lines of a writer that have text and have not ended.
func (w *Writer) openLines() []Line {
	var lines []Line
	for i, o := range w.open {
		if len(o.text) > 0 {
			r := parseRecord(appendRecord(nil, o.at, Stream(letters[i]), flagOpen, o.text, nil))
			r.text = o.text
			lines = append(lines, r.line(0, w.attempt))
		}
	}
	return lines
}

// walk is a reader's way through the files of a snapshot.
type walk struct {
	from  int64 // lines before it are passed over
	yield func(Line) bool

	known   bool // whether number and text are
	number  int64
	text    int64
	at      time.Time // of the last line passed
	attempt int
	done    bool // yield wants no more
}

// each calls yield with the lines from number from on until it returns false.
func (s snapshot) each(ctx context.Context, from int64, yield func(Line) bool) error {
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
	w.gap(mark{s.next, s.text, w.attempt})
	for _, l := range s.open {
		w.line(l)
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
		if err := ctx.Err(); err != nil {
			return err
		}
		if m, ok := parseMark(lines.line); ok {
			w.gap(m)
			w.attempt = m.attempt
			continue
		}
		r := parseRecord(lines.line)
		if w.number >= w.from {
			w.line(r.line(w.number, w.attempt))
		}
		w.at = r.at
		w.number++
		w.text += int64(len(r.text)) + 1
	}
	return lines.err
}

// gap goes on at m, and passes a note when lines before it are missing.
func (w *walk) gap(m mark) {
	if w.known && m.number <= w.number {
		return
	}
	if w.known && m.number > w.from {
		w.line(Line{
			Number: m.number - 1, At: w.at, Stream: Distro, Attempt: w.attempt,
			Text: fmt.Sprintf("… %s bytes (%s lines) cut …", group(m.text-w.text), group(m.number-w.number)),
		})
	}
	w.known, w.number, w.text = true, m.number, m.text
}

func (w *walk) line(l Line) {
	if !w.done && l.Number >= w.from {
		w.done = !w.yield(l)
	}
}
