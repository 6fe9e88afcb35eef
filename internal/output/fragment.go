package output

import (
	"context"
	"fmt"
)

// Fragment is a part of a job's output on its way to another Store.
type Fragment struct {
	// Text is a mark and the lines behind it, in the format of the files, with
	// a mark behind each gap. It is never empty: without lines it is the mark
	// of what would follow.
	Text    []byte
	Next    int64  // number of the line that follows
	Lines   int    // that have ended
	Open    int    // bytes of the lines that have not, which stand at its end
	More    bool   // lines that have ended follow
	Version uint64 // for Wait
}

// Fragment returns the lines of a job from number from on until they make
// about size bytes, and at least one. Behind the last line stand those that
// are open; they come again, as they are by then, with what follows.
func (s *Store) Fragment(ctx context.Context, jobID string, from int64, size int) (Fragment, error) {
	found := Fragment{Version: s.version.Load()}
	shot, err := s.snapshot(jobID)
	if err != nil {
		return Fragment{}, fmt.Errorf("read output of job %q: %w", jobID, err)
	}
	found.Next = from
	err = shot.each(ctx, from, func(e entry) bool {
		switch {
		case e.lines > 0:
			found.Next = e.number + 1
			found.Text = appendMark(found.Text, mark{e.number + 1, e.before, origin{attempt: e.attempt}})
			return true
		case e.flag == flagOpen:
			found.Open += len(e.text)
		default:
			found.Lines++
			found.Next = e.number + 1
		}
		if len(found.Text) == 0 {
			found.Text = appendMark(nil, mark{e.number, e.before, origin{attempt: e.attempt}})
		}
		found.Text = appendRecord(found.Text, makeStamp(e.at), e.stream, e.flag, e.text, nil)
		return e.flag == flagOpen || len(found.Text) < size
	})
	if err != nil {
		return Fragment{}, fmt.Errorf("read output of job %q from line %d: %w", jobID, from, err)
	}
	if len(found.Text) == 0 {
		found.Text = appendMark(nil, mark{max(from, shot.next), shot.text, origin{}})
	}
	found.More = found.Next < shot.next
	return found, nil
}
