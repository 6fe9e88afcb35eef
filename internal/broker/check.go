package broker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// defaultPage is the length of a page when none is given.
const defaultPage = 50

// maxNamed bounds the claims one Exchange names in Begin, Return and Held.
const maxNamed = 4096

// maxOffset bounds a place: no list is so long, and sums with it are no
// overflow.
const maxOffset = 1 << 40

// maxYear is the last year a job may be due in: some brokers store times as
// microseconds in 64 bits.
const maxYear = 9999

// The checks below are the same for every broker, which makes them before it
// does anything. They answer a distro.Error of distro.CodeInvalid.

// CheckJobs checks what Enqueue is given.
func CheckJobs(jobs []distro.Job) error {
	if len(jobs) > MaxEnqueue {
		return distro.Invalid("jobs", "%d jobs in one call, at most %d are allowed", len(jobs), MaxEnqueue)
	}
	for i := range jobs {
		switch j := &jobs[i]; {
		case j.ID == "":
			return distro.Invalid("id", "a job needs an ID")
		case j.Queue == "":
			return distro.Invalid("queue", "a job needs a queue")
		case j.DueAt.Year() > maxYear:
			return distro.Invalid("due_at", "lies beyond the year %d", maxYear)
		case j.RetriesLeft < 0:
			return distro.Invalid("retries", "must not be negative")
		}
	}
	return nil
}

// Check checks what Exchange is given.
func (req *ExchangeRequest) Check() error {
	switch {
	case req.Worker.Name == "":
		return distro.Invalid("worker.name", "a worker needs a name")
	case len(req.Settle) > MaxExchange:
		return distro.Invalid("settle", "%d settlements, at most %d are allowed", len(req.Settle), MaxExchange)
	case len(req.Want.Tokens) > MaxExchange:
		return distro.Invalid("want.tokens", "%d claims wanted, at most %d are allowed", len(req.Want.Tokens), MaxExchange)
	case max(len(req.Begin), len(req.Return), len(req.Held)) > maxNamed:
		return distro.Invalid("held", "more than %d claims named", maxNamed)
	case slices.Contains(req.Want.Tokens, ""):
		return distro.Invalid("want.tokens", "a token is empty")
	}
	for i := range req.Settle {
		switch o := req.Settle[i].Result.Outcome; o {
		case distro.OutcomeFinished, distro.OutcomeFailed, distro.OutcomeStopped, distro.OutcomeLost:
		default:
			return distro.Invalid("settle", "%q is not an outcome", o)
		}
	}
	return nil
}

// Check checks that a is an action.
func (a Action) Check() error {
	switch a {
	case ActionCancel, ActionRequeue, ActionDelete, ActionRunFirst, ActionStop:
		return nil
	}
	return distro.Invalid("action", "%q is not an action", a)
}

// Check checks the filters of q.
func (q *ListQuery) Check() error {
	if q.Status != "" && !q.Status.Valid() {
		return distro.Invalid("status", "%q is not a status", q.Status)
	}
	_, err := PageLimit(q.Limit)
	return err
}

// Check checks q.
func (q *PlaceQuery) Check() error {
	switch {
	case q.Queue == "":
		return distro.Invalid("queue", "places are those of one queue")
	case !q.Status.Valid() || q.Status == distro.StatusStopped:
		return distro.Invalid("status", "%.40q has no list of its own", q.Status)
	case q.Offset < 0 || q.Offset > maxOffset:
		return distro.Invalid("offset", "must be 0 to %d", maxOffset)
	}
	_, err := PageLimit(q.Limit)
	return err
}

// CheckCompact checks which list Compact is to look at.
func CheckCompact(queue string, status distro.Status) error {
	if status == distro.StatusStarted {
		return distro.Invalid("status", "the workers look after what is started")
	}
	q := PlaceQuery{Queue: queue, Status: status}
	return q.Check()
}

// CutTraceback bounds a traceback of Places: its beginning and its end stay,
// which say where it happened and what.
func CutTraceback(text string) string {
	const gap = "\n  ...\n"
	if len(text) <= MaxTraceback {
		return text
	}
	half := (MaxTraceback - len(gap)) / 2
	return strings.ToValidUTF8(text[:half], "") + gap + strings.ToValidUTF8(text[len(text)-half:], "")
}

// PageLimit is the length of a page of List or Changes for a limit asked for.
func PageLimit(n int) (int, error) {
	if n < 0 || n > MaxPage {
		return 0, distro.Invalid("limit", "must be 1 to %d", MaxPage)
	}
	return cmp.Or(n, defaultPage), nil
}
