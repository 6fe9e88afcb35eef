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
	// Search returns lines that match, and counts all that do.
	Search(ctx context.Context, jobID string, q output.Query) (output.Matches, error)
	// Wait returns when the output may have changed since the Read that gave
	// version seen, and with ctx's error when that ends first.
	Wait(ctx context.Context, jobID string, seen uint64) error
	// WriteText writes all of the output as text.
	WriteText(ctx context.Context, jobID string, w io.Writer) error
	// Delete deletes the output.
	Delete(jobID string) error
}

// Arrivals knows of output that is on its way from workers elsewhere.
type Arrivals interface {
	// OutputArriving reports whether output of a job was sent, or is going to
	// be, that Output does not have. When it does not, whoever reads Output
	// afterwards reads it all, if the job had ended before.
	OutputArriving(ctx context.Context, jobID string) (bool, error)
}

const (
	// MaxLines is how many lines of output one call returns at most.
	MaxLines = 1000

	maxSearches  = 2 // at a time: each may read all output of a job
	arrivalPause = 100 * time.Millisecond
)

// Deleted, as the status that FollowLog returns, says that the job was deleted.
const Deleted distro.Status = "deleted"

// Log is a range of a job's output.
type Log struct {
	Lines []output.Line
	Next  int64 // number of the line to ask for next
	Total int64 // lines that were ever begun
	Ended bool  // the job ended, and no line stands behind these

	// Of SearchLog: the lines that match in all of the output, up to
	// output.MaxMatches, and whether there may be more.
	Found int
	More  bool
}

// ReadLog returns at most count lines of a job's output from line from on; 0
// means from the first, and up to MaxLines. A negative from counts from the
// end: -100 means the last hundred.
func (s *Service) ReadLog(ctx context.Context, id string, from int64, count int) (Log, error) {
	if from == 0 {
		from = 1
	}
	count, err := lineCount(count)
	if err != nil {
		return Log{}, err
	}
	job, arriving, err := s.beforeOutput(ctx, id)
	if err != nil {
		return Log{}, err
	}
	page, err := s.opts.Output.Read(ctx, id, from, count)
	if err != nil {
		return Log{}, fmt.Errorf("read output of job %q from line %d: %w", id, from, err)
	}
	last := page.Next - 1
	if n := len(page.Lines); n > 0 {
		last = page.Lines[n-1].Number
	}
	return Log{
		Lines: page.Lines, Next: page.Next, Total: page.Total,
		Ended: job.Status.Ended() && !page.Writing && !arriving && last >= page.Total,
	}, nil
}

// SearchLog returns the lines of a job's output that match, at most q.Count
// (0: MaxLines) from line q.From on, and counts all that match.
func (s *Service) SearchLog(ctx context.Context, id string, q output.Query) (Log, error) {
	if q.From < 0 {
		return Log{}, distro.Invalid("from", "must not be negative in a search")
	}
	var err error
	if q.Count, err = lineCount(q.Count); err != nil {
		return Log{}, err
	}
	job, arriving, err := s.beforeOutput(ctx, id)
	if err != nil {
		return Log{}, err
	}
	select {
	case s.searching <- struct{}{}:
		defer func() { <-s.searching }()
	case <-ctx.Done():
		return Log{}, fault(fmt.Errorf("search output of job %q: %w", id, ctx.Err()))
	}
	m, err := s.opts.Output.Search(ctx, id, q)
	if err != nil {
		return Log{}, fmt.Errorf("search output of job %q: %w", id, err)
	}
	return Log{
		Lines: m.Lines, Next: m.Next, Total: m.Total, Found: m.Found, More: m.More,
		Ended: job.Status.Ended() && !m.Writing && !arriving && m.Next > m.Total,
	}, nil
}

func lineCount(count int) (int, error) {
	if count < 0 || count > MaxLines {
		return 0, distro.Invalid("count", "must be 1 to %d", MaxLines)
	}
	if count == 0 {
		count = MaxLines
	}
	return count, nil
}

// beforeOutput looks at what must be known of a job before its output is read:
// what was written until it ended is there then, unless it is arriving.
func (s *Service) beforeOutput(ctx context.Context, id string) (job distro.Job, arriving bool, err error) {
	if job, err = s.Get(ctx, id); err != nil {
		return distro.Job{}, false, err
	}
	arriving, err = s.arriving(ctx, &job)
	return job, arriving, err
}

// arriving reports whether output of a job that has ended is not there yet.
func (s *Service) arriving(ctx context.Context, job *distro.Job) (bool, error) {
	if s.opts.Arrivals == nil || !job.Status.Ended() {
		return false, nil
	}
	arriving, err := s.opts.Arrivals.OutputArriving(ctx, job.ID)
	if err != nil {
		return false, fault(fmt.Errorf("look for output of job %q on its way: %w", job.ID, err))
	}
	return arriving, nil
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
	changed, leave, err := s.follower.watch(ctx, id)
	if err != nil {
		return "", fault(fmt.Errorf("follow output of job %q: %w", id, err))
	}
	defer leave()
	for from = max(from, 1); ; {
		gone, arriving, err := s.look(ctx, &job, cursor)
		if err != nil {
			return "", err
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
		pause, idle := beat, send
		if arriving { // when it has arrived, nobody tells of that alone
			pause, idle = arrivalPause, func([]output.Line) error { return nil }
		} else if job.Status.Ended() && !page.Writing {
			return job.Status, sendLast(page.Lines, send)
		}
		if err := s.pause(ctx, id, page.Version, pause, changed, idle); err != nil {
			return "", err
		}
	}
}

// look brings a job that is followed up to date, unless it is gone.
func (s *Service) look(ctx context.Context, job *distro.Job, cursor string) (gone, arriving bool, err error) {
	now, err := s.find(ctx, *job, cursor)
	if distro.ErrorCode(err) == distro.CodeNotFound {
		return true, false, nil
	}
	if err != nil {
		return false, false, err
	}
	*job = now
	arriving, err = s.arriving(ctx, job)
	return false, arriving, err
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
