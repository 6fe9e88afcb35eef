package output

import (
	"bytes"
	"fmt"
	"time"
)

// Writer appends the output of one attempt. Its methods are safe for
// concurrent use: one goroutine per stream is the usual case.
type Writer struct {
	job *jobFile

	// Guarded by job.mu.
	origin origin
	open   [len(letters)]openLine
	closed bool
}

// openLine is a line that has begun and not ended; without text there is none.
type openLine struct {
	at   stamp // when its first byte came
	text []byte
}

// Write appends a chunk of a stream. Chunks may be of any size and may be
// split anywhere: the lines are the same. A line that the chunk leaves
// unfinished can be read at once as an open one. Write blocks as long as the
// disk does. When the chunk cannot be stored it is dropped, which readers see
// as a note; that is no error. The only ones are ErrClosed and a stream that
// does not exist.
func (w *Writer) Write(s Stream, at time.Time, p []byte) error {
	if s.slot() < 0 {
		return fmt.Errorf("write output: no stream %q", byte(s))
	}
	f := w.job
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if len(p) == 0 {
		return nil
	}
	f.load("")
	w.split(s, makeStamp(at), p)
	f.flushOpen()
	f.changed()
	return nil
}

// split appends the lines of a chunk, and keeps the open rest.
func (w *Writer) split(s Stream, at stamp, p []byte) {
	f, line := w.job, &w.open[s.slot()]
	for len(p) > 0 {
		if len(line.text) == 0 {
			line.at = at
		}
		room := MaxLine - len(line.text)
		end := bytes.IndexByte(p[:min(len(p), room+1)], '\n')
		switch {
		case end >= 0:
			f.append(&w.origin, line.at, s, flagEnded, line.text, p[:end])
			line.text = line.text[:0]
			p = p[end+1:]
		case len(p) <= room:
			line.text = append(line.text, p...)
			p = nil
		default:
			line.text = append(line.text, p[:room]...)
			p = p[room:]
			n := splitAt(line.text, p[0])
			f.append(&w.origin, line.at, s, flagContinued, line.text[:n], nil)
			line.at = at
			line.text = append(line.text[:0], line.text[n:]...)
		}
	}
}

// Note appends a line of the orchestrator, like "attempt 2 began on w1".
func (w *Writer) Note(text string) error {
	return w.Write(Distro, w.job.store.options.Now(), []byte(text+"\n"))
}

// Close ends the lines that are open. A second call does nothing.
func (w *Writer) Close() {
	f := w.job
	f.mu.Lock()
	closed := w.closed
	w.closed = true
	if !closed {
		f.leave(w)
	}
	f.mu.Unlock()
	if !closed {
		f.store.release(f)
	}
}
