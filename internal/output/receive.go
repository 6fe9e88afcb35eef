package output

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
)

// ErrFragment: what is to be appended is no Fragment.Text.
var ErrFragment = errors.New("not a fragment of output")

// Receiver appends what an attempt printed elsewhere, fragment by fragment. It
// stands for one run: the lines that another Store has of one writer, which
// are numbered from 1. The marks of the files say how far a run has come, so
// that each line of it is stored once, however often and in whatever pieces
// fragments arrive, and whenever this process dies.
//
// Its methods are safe for concurrent use.
type Receiver struct {
	w     *Writer
	found bool // the origin of w says how far the files have the run; guarded by the job's mu
}

// Receiver returns what appends a run to the output of a job. Its name is 8 to
// 32 hexadecimal digits that no other run of the job has. Close it.
func (s *Store) Receiver(jobID, run string, attempt int) (*Receiver, error) {
	if !runPattern.MatchString(run) {
		return nil, fmt.Errorf("receive run %q of job %q: %w", run, jobID, ErrFragment)
	}
	w := s.Writer(jobID, attempt)
	w.origin.run, w.origin.line = run, 1
	return &Receiver{w: w}, nil
}

// Close ends what is open: nothing is expected of the run any more. If
// something comes all the same, another Receiver of the run goes on with it.
func (r *Receiver) Close() { r.w.Close() }

// Suspend lets go of the run, which goes on with another Receiver, perhaps in
// another process. Readers see its open lines until then.
func (r *Receiver) Suspend() {
	f := r.w.job
	f.mu.Lock()
	if !r.w.closed {
		clear(r.w.open[:])
	}
	f.mu.Unlock()
	r.w.Close()
}

// Append appends those lines of a Fragment.Text that the files do not have yet.
// Where lines before them are missing, they count as cut. Its open lines take
// the place of those before. When it returns nil, all are written to the operating
// system; when it returns an error, none is stored, and the same or any other
// fragment may be appended later.
func (r *Receiver) Append(fragment []byte) error {
	f := r.w.job
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.w.closed {
		return ErrClosed
	}
	run := r.w.origin.run
	if f.load(run); !f.loaded {
		return fmt.Errorf("append to output of job %q: %w", f.jobID, f.dropping)
	}
	if err := r.find(); err != nil {
		return fmt.Errorf("find run %s in the output of job %q: %w", run, f.jobID, err)
	}
	before := r.save()
	f.dropped = false
	if f.shown {
		f.cutOpen() // a torn write must not join new lines with old open ones
	}
	err := r.take(fragment)
	if err == nil {
		f.flushOpen()
	}
	if err == nil && f.dropped {
		err = f.dropping
	}
	if err != nil {
		r.restore(before)
		return fmt.Errorf("append to output of job %q: %w", f.jobID, err)
	}
	f.changed()
	return nil
}

// find learns from the files how far they have the run.
func (r *Receiver) find() error {
	f, o := r.w.job, &r.w.origin
	if r.found {
		return nil
	}
	if f.origin.run == o.run {
		o.line, o.before = f.origin.line, f.origin.before
	} else {
		found, ok, err := f.place.findRun(f.segments, o.run)
		if err != nil {
			return err
		}
		if ok {
			o.line, o.before = found.line, found.before
		}
	}
	r.found = true
	return nil
}

// take buffers what is new in a fragment.
func (r *Receiver) take(fragment []byte) error {
	var at origin // the next line of the fragment
	var open [len(letters)]openLine
	for len(fragment) > 0 {
		line, rest, ended := bytes.Cut(fragment, []byte("\n"))
		fragment = rest
		m, is := parseMark(line)
		if is {
			at.line, at.before = m.number, m.text
			continue
		}
		if !ended || at.line == 0 {
			return ErrFragment
		}
		had := parseRecord(line)
		had.text = had.text[:min(len(had.text), MaxLine)]
		if had.flag == flagOpen {
			open[had.stream.slot()] = openLine{makeStamp(had.at), bytes.Clone(had.text)}
			continue
		}
		if err := r.line(at, had); err != nil {
			return err
		}
		at.line++
		at.before += int64(len(had.text)) + 1
	}
	if at.line < r.w.origin.line {
		return nil // all of it came before, and its open lines may have ended since
	}
	r.w.open = open
	return r.skip(at)
}

// line buffers the line of the run that stands at at, unless it is there.
func (r *Receiver) line(at origin, had record) error {
	if at.line < r.w.origin.line {
		return nil
	}
	if err := r.skip(at); err != nil {
		return err
	}
	r.w.job.append(&r.w.origin, makeStamp(had.at), had.stream, had.flag, had.text, nil)
	return nil
}

// skip counts the lines before at that did not come.
func (r *Receiver) skip(at origin) error {
	f, o := r.w.job, &r.w.origin
	missing, text := at.line-o.line, max(at.before-o.before, 0)
	if missing == 0 {
		return nil
	}
	if f.next+missing >= maxCount || f.text+text >= maxCount {
		return ErrFragment
	}
	f.next += missing
	f.text += text
	f.skipped = true
	o.line, o.before = at.line, at.before
	return nil
}

// saved is what an Append changes.
type saved struct {
	state  state
	origin origin
	open   [len(letters)]openLine
	skips  bool
}

func (r *Receiver) save() saved {
	f := r.w.job
	s := saved{f.state, r.w.origin, r.w.open, f.skipped}
	s.state.segments = slices.Clone(f.segments)
	return s
}

// restore undoes what was done since. What the files have beyond it is cut off
// before the next write.
func (r *Receiver) restore(to saved) {
	f := r.w.job
	f.closeFile()
	for _, s := range f.segments {
		if s.number > to.state.last().number {
			_ = os.Remove(f.place.path(s.number)) // else it is overwritten
		}
	}
	f.state, f.skipped, f.buf = to.state, to.skips, f.buf[:0]
	r.w.origin, r.w.open = to.origin, to.open
}
