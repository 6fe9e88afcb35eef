package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro/internal/output"
)

// Printer takes what one attempt prints. Write is called by one goroutine per
// stream, and Close when nothing more comes.
type Printer interface {
	Write(s output.Stream, at time.Time, p []byte) error
	Note(text string) error // a line of the worker's own
	Close()
}

// Stored keeps output in a store.
func Stored(store *output.Store) func(jobID string, attempt int) Printer {
	return func(jobID string, attempt int) Printer { return store.Writer(jobID, attempt) }
}

// Both gives all output to two takers. The second one has it even where the
// first fails.
func Both(first, second func(jobID string, attempt int) Printer) func(jobID string, attempt int) Printer {
	return func(jobID string, attempt int) Printer {
		return both{first(jobID, attempt), second(jobID, attempt)}
	}
}

type both struct{ first, second Printer }

// Write implements Printer.
func (b both) Write(s output.Stream, at time.Time, p []byte) error {
	return errors.Join(b.first.Write(s, at, p), b.second.Write(s, at, p))
}

// Note implements Printer.
func (b both) Note(text string) error { return errors.Join(b.first.Note(text), b.second.Note(text)) }

// Close implements Printer.
func (b both) Close() {
	b.first.Close()
	b.second.Close()
}

// maxHeldLine is how much of a line is held back until its end comes.
const maxHeldLine = 64 << 10

// Console passes output on to the worker's own, stdout to out and the rest to
// err, as stock RQ does. With several slots it passes on whole lines only, so
// that those of different jobs do not run into each other.
func Console(out, err io.Writer, slots int) func(jobID string, attempt int) Printer {
	c := &console{out: out, err: err, lines: slots > 1}
	return func(jobID string, _ int) Printer {
		return &passing{console: c, jobID: jobID, held: map[output.Stream][]byte{}}
	}
}

type console struct {
	mu       sync.Mutex // of both writers
	out, err io.Writer
	lines    bool // whole ones only
}

// passing is the output of one attempt on its way.
type passing struct {
	*console
	jobID string
	held  map[output.Stream][]byte // lines that have begun; guarded by mu
}

// Write implements Printer.
func (p *passing) Write(s output.Stream, _ time.Time, chunk []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.lines {
		return p.pass(s, chunk)
	}
	whole := append(p.held[s], chunk...)
	end := bytes.LastIndexByte(whole, '\n') + 1
	if len(whole)-end > maxHeldLine {
		end = len(whole)
	}
	err := p.pass(s, whole[:end])
	p.held[s] = append([]byte(nil), whole[end:]...)
	return err
}

// pass writes to the stream's writer. The lock is held.
func (p *passing) pass(s output.Stream, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	to := p.err
	if s == output.Stdout {
		to = p.out
	}
	_, err := to.Write(text)
	return err
}

// Note implements Printer.
func (p *passing) Note(text string) error {
	return p.Write(output.Distro, time.Time{}, fmt.Appendf(nil, "%s: %s\n", p.jobID, text))
}

// Close implements Printer.
func (p *passing) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s, rest := range p.held {
		if len(rest) > 0 {
			_ = p.pass(s, append(rest, '\n')) // nobody is left to tell
		}
		delete(p.held, s)
	}
}
