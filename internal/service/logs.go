package service

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
)

// Output keeps what jobs print. A job without output has an empty one.
type Output interface {
	// Read returns at most count lines from number from on.
	Read(ctx context.Context, jobID string, from int64, count int) (output.Page, error)
	// Wait returns when the output may have changed since the Read that gave
	// version seen, and with ctx's error when that ends first.
	Wait(ctx context.Context, jobID string, seen uint64) error
	// WriteText writes all of the output as text.
	WriteText(ctx context.Context, jobID string, w io.Writer) error
	// Delete deletes the output.
	Delete(jobID string) error
}

// MaxLines is how many lines of output one call returns at most.
const MaxLines = 1000

// Deleted, as the status that FollowLog returns, says that the job was deleted.
const Deleted distro.Status = "deleted"

// Log is a range of a job's output.
type Log struct {
	Lines []output.Line
	Next  int64 // number of the line to ask for next
	Ended bool  // the job ended, and no line stands behind these
}

// ReadLog returns at most count lines of a job's output from line from on; 0
// means from the first, and up to MaxLines.
func (s *Service) ReadLog(ctx context.Context, id string, from int64, count int) (Log, error) {
	if from < 0 {
		return Log{}, distro.Invalid("from", "must not be negative")
	}
	if count < 0 || count > MaxLines {
		return Log{}, distro.Invalid("count", "must be 1 to %d", MaxLines)
	}
	if count == 0 {
		count = MaxLines
	}
	job, err := s.Get(ctx, id) // before the lines: what is written until it ended is there
	if err != nil {
		return Log{}, err
	}
	page, err := s.opts.Output.Read(ctx, id, max(from, 1), count)
	if err != nil {
		return Log{}, fmt.Errorf("read output of job %q from line %d: %w", id, from, err)
	}
	last := max(from, 1) - 1
	if n := len(page.Lines); n > 0 {
		last = page.Lines[n-1].Number
	}
	return Log{page.Lines, page.Next, job.Status.Ended() && !page.Writing && last >= page.Total}, nil
}

// WriteLog writes all of a job's output as text to w. Errors before the first
// byte are of the job; a job without output writes nothing.
func (s *Service) WriteLog(ctx context.Context, id string, w io.Writer) error {
	if _, err := s.Get(ctx, id); err != nil {
		return err
	}
	if err := s.opts.Output.WriteText(ctx, id, w); err != nil {
		return fmt.Errorf("write output of job %q: %w", id, err)
	}
	return nil
}

// FollowLog hands the lines of a job's output from line from on to send, as
// they end, until the job ended and all its output was handed over, and
// returns the status it ended with. When there is nothing new for the time of
// beat, send gets no lines. However slow send is, nobody but the caller waits
// for it.
func (s *Service) FollowLog(ctx context.Context, id string, from int64, beat time.Duration, send func([]output.Line) error) (distro.Status, error) {
	cursor := s.follower.position()
	job, err := s.Find(ctx, id)
	if err != nil {
		return "", err
	}
	changed, leave := s.follower.watch(ctx, id)
	defer leave()
	for from = max(from, 1); ; {
		now, err := s.find(ctx, job, cursor)
		gone := distro.ErrorCode(err) == distro.CodeNotFound
		if err != nil && !gone {
			return "", err
		}
		if !gone {
			job = now
		}
		page, err := s.opts.Output.Read(ctx, id, from, MaxLines)
		if err != nil {
			return "", fmt.Errorf("follow output of job %q from line %d: %w", id, from, err)
		}
		if lines := ended(page.Lines); len(lines) > 0 {
			if err := send(lines); err != nil {
				return "", err
			}
			from = lines[len(lines)-1].Number + 1
			continue
		}
		if gone {
			return Deleted, nil
		}
		if job.Status.Ended() && !page.Writing {
			return job.Status, sendLast(page.Lines, send)
		}
		if err := s.pause(ctx, id, page.Version, beat, changed, send); err != nil {
			return "", err
		}
	}
}

// ended cuts off the lines that may still grow: they come when they end, which
// they do at the latest when the attempt does.
func ended(lines []output.Line) []output.Line {
	for i, line := range lines {
		if line.Open {
			return lines[:i]
		}
	}
	return lines
}

// sendLast hands over the lines that never ended, as their process was killed
// in them.
func sendLast(lines []output.Line, send func([]output.Line) error) error {
	if len(lines) == 0 {
		return nil
	}
	return send(lines)
}

// pause returns when the output or the job changed, and after beat.
func (s *Service) pause(ctx context.Context, id string, seen uint64, beat time.Duration, changed <-chan error, send func([]output.Line) error) error {
	waiting, cancel := context.WithTimeout(ctx, beat)
	defer cancel()
	grown := make(chan error, 1)
	go func() { grown <- s.opts.Output.Wait(waiting, id, seen) }()
	select {
	case err := <-changed:
		cancel()
		<-grown
		if err != nil {
			return fault(fmt.Errorf("follow job %q: %w", id, err))
		}
		return nil
	case err := <-grown:
		switch {
		case ctx.Err() != nil:
			return fault(fmt.Errorf("follow output of job %q: %w", id, ctx.Err()))
		case waiting.Err() != nil:
			return send(nil)
		case err != nil:
			return fmt.Errorf("wait for output of job %q: %w", id, err)
		}
		return nil
	}
}
