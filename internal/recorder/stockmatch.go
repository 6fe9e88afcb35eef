package recorder

import (
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// sameMoment is how far two times of one moment may lie apart that different
// processes have written.
const sameMoment = 2 * time.Second

// stockNews returns those of the runs of one job, the newest first, that tell
// more than is known of its attempts, under the Run of the attempt that they
// are. One attempt may be found several times, each time known by something
// else: as it runs by RQ's ID of the execution; when it ended by the time of
// its start, as RQ 2.0 to 2.7 do not write the ID then, or by another time of
// its start, as RQ's parent process writes its own where it killed the job's;
// later only by an entry of the results, without a start.
func stockNews(known []distro.Execution, runs []broker.StockRun) []broker.StockRun {
	var a attempts
	for i := range known {
		if known[i].Stock {
			a = append(a, attempt{Execution: known[i]})
		}
	}
	var news []broker.StockRun
	for _, run := range runs {
		e := &run.Execution
		i := a.find(&run)
		if i < 0 {
			a = append(a, attempt{*e, true})
			news = append(news, run)
			continue
		}
		a[i].found = true
		if strength(e.State) <= strength(a[i].State) {
			continue
		}
		e.Run = a[i].Run
		a[i].State, a[i].EndedAt = e.State, e.EndedAt
		news = append(news, run)
	}
	return news
}

// attempt is one that is known.
type attempt struct {
	distro.Execution
	found bool // one of the runs is it
}

type attempts []attempt

// find returns which attempt a run is, -1 for none. All rules but the first
// hold only for attempts that no other run is.
func (a attempts) find(run *broker.StockRun) int {
	e := &run.Execution
	for i := range a {
		if a[i].Run == e.Run {
			return i
		}
	}
	if strings.HasPrefix(e.Run, broker.StockEntry) {
		return a.byEnd(e)
	}
	best, distance := -1, sameMoment+1
	for i := range a {
		k := &a[i]
		if k.found || e.StartedAt.IsZero() || k.StartedAt.IsZero() || isExecution(k.Run) && isExecution(e.Run) {
			continue
		}
		d := k.StartedAt.Sub(e.StartedAt).Abs()
		ends := !k.EndedAt.IsZero() && !e.EndedAt.IsZero() && !k.EndedAt.Equal(e.EndedAt)
		if d < distance && (d == 0 || run.Near && !ends) {
			best, distance = i, d
		}
	}
	return best
}

// byEnd returns the attempt that an entry of the results, whose start is not
// known, tells of: one that ended like it at about that time, else the last one
// that began before, if its end is not known.
func (a attempts) byEnd(e *distro.Execution) int {
	best, distance := -1, sameMoment+1
	last, open := -1, -1
	for i := range a {
		k := &a[i]
		isOpen := strength(k.State) < strength(distro.ExecutionFailed)
		if !k.EndedAt.IsZero() && !k.found && (isOpen || k.State == e.State) {
			if d := k.EndedAt.Sub(e.EndedAt).Abs(); d < distance {
				best, distance = i, d
			}
		}
		switch {
		case k.StartedAt.IsZero():
		case !k.StartedAt.After(e.EndedAt.Add(time.Millisecond)):
			if last < 0 || k.StartedAt.After(a[last].StartedAt) {
				last = i
			}
		case k.StartedAt.Sub(e.EndedAt) <= sameMoment && isOpen && !k.found:
			if open < 0 || k.StartedAt.Before(a[open].StartedAt) {
				open = i
			}
		}
	}
	switch {
	case best >= 0:
		return best
	case last >= 0:
		if k := &a[last]; k.EndedAt.IsZero() && !k.found && strength(k.State) < strength(distro.ExecutionFailed) {
			return last
		}
		return -1
	}
	return open // the clocks differ
}

// strength orders what is known of how an attempt ended: nothing, that it was
// followed by another one, that it ended, and how.
func strength(s distro.ExecutionState) int {
	switch s {
	case distro.ExecutionStarted:
		return 0
	case distro.ExecutionRetried:
		return 1
	case distro.ExecutionLost:
		return 2
	}
	return 3
}

// isExecution reports whether a Run is RQ's ID of an execution, which names it
// for certain.
func isExecution(run string) bool {
	return len(run) == 32 && strings.Trim(run, "0123456789abcdef") == ""
}
