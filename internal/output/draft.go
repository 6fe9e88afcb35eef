package output

import (
	"bytes"
	"time"
)

// maxDraft is how many bytes a Draft takes, what comes before each line in a
// file included. Most jobs print less.
const maxDraft = 8 << 10

// Draft holds the beginning of an attempt's output in memory, so that a job
// that prints little needs no file on its way to another Store. It is not safe
// for concurrent use.
type Draft struct {
	attempt int
	pieces  []piece
	size    int
}

// piece is what one Write got.
type piece struct {
	stream Stream
	at     time.Time
	text   []byte
}

// NewDraft returns an empty Draft.
func NewDraft(attempt int) *Draft { return &Draft{attempt: attempt} }

// Write appends a chunk as Writer.Write does. It reports false, and takes
// nothing, when the chunk is too much for a Draft or its stream does not exist.
func (d *Draft) Write(s Stream, at time.Time, p []byte) bool {
	size := d.size + len(p) + recordHead*(1+bytes.Count(p, []byte("\n")))
	if s.slot() < 0 || size > maxDraft {
		return false
	}
	d.size = size
	d.pieces = append(d.pieces, piece{s, at, append([]byte(nil), p...)})
	return true
}

// Fragment is all of the output, whose open lines end with it.
func (d *Draft) Fragment() Fragment {
	const unbounded = 1 << 40 // so that nothing goes to a file
	f := &jobFile{store: &Store{options: Options{MaxPerJob: unbounded}}, loaded: true}
	f.state = state{segments: []segment{{}}, next: 1}
	w := &Writer{job: f, origin: origin{attempt: d.attempt}}
	for _, p := range d.pieces {
		w.split(p.stream, makeStamp(p.at), p.text)
	}
	for i, line := range w.open {
		if len(line.text) > 0 {
			f.append(&w.origin, line.at, Stream(letters[i]), flagEnded, line.text, nil)
		}
	}
	return Fragment{Text: f.buf, Next: f.next, Lines: int(f.next - 1)}
}

// CopyTo writes what the Draft holds to a Writer.
func (d *Draft) CopyTo(w *Writer) error {
	for _, p := range d.pieces {
		if err := w.Write(p.stream, p.at, p.text); err != nil {
			return err
		}
	}
	return nil
}
