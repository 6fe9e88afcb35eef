package recorder

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// sameMoment is how far two times of one moment may lie apart that different
// processes have written.
const sameMoment = 2 * time.Second

// stockNews returns those of the runs of one job that tell more than is known of
// its attempts, under the Run of the attempt that they are. One attempt may be
// found several times, each time known by something else: as it runs by RQ's ID
// of the execution or by the time of its start; when it ended by another time of
// its start; later only by an entry of the results, without a start.
func stockNews(known []distro.Execution, runs []broker.StockRun) []broker.StockRun {
	var a attempts
	for i := range known {
		if known[i].Stock {
			named := slices.ContainsFunc(runs, func(run broker.StockRun) bool { return run.Execution.Run == known[i].Run })
			a = append(a, attempt{Execution: known[i], named: named})
		}
	}
	var news []broker.StockRun
	var entries []*broker.StockRun
	for i := range runs {
		run := &runs[i]
		at := a.find(run)
		if at < 0 && isEntry(run.Execution.Run) && !run.New {
			entries = append(entries, run)
			continue
		}
		news = a.take(news, at, run)
	}
	for i, at := range a.byEnd(entries) {
		news = a.take(news, at, entries[i])
	}
	return news
}

// attempt is one that is known.
type attempt struct {
	distro.Execution
	named bool // one of the runs has its Run
	found bool // one of those that were looked at is it
}

type attempts []attempt

// take adds a run to news if it tells more than is known of the attempt that it
// is, -1 for none.
func (a *attempts) take(news []broker.StockRun, at int, run *broker.StockRun) []broker.StockRun {
	e := run.Execution
	if at < 0 {
		*a = append(*a, attempt{Execution: e, found: true})
		return append(news, *run)
	}
	k := &(*a)[at]
	k.found = true
	if strength(e.State) <= strength(k.State) {
		return news
	}
	k.State, k.EndedAt = e.State, e.EndedAt
	told := *run
	told.Execution.Run = k.Run
	return append(news, told)
}

// find returns which attempt a run is, -1 for none. All rules but the first
// hold only for attempts that no other run was found to be.
func (a attempts) find(run *broker.StockRun) int {
	e := &run.Execution
	for i := range a {
		if a[i].Run == e.Run {
			return i
		}
	}
	if isEntry(e.Run) {
		return a.open(e)
	}
	return a.byStart(e, run.Near)
}

// byStart returns the attempt that began at the same moment; near says that RQ
// may have written it twice, at about the same moment. Attempts of one job come
// one after another, so only the nearest one may be it.
func (a attempts) byStart(e *distro.Execution, near bool) int {
	best, distance := -1, sameMoment+1
	for i := range a {
		if a[i].StartedAt.IsZero() || e.StartedAt.IsZero() {
			continue
		}
		if d := a[i].StartedAt.Sub(e.StartedAt).Abs(); d < distance {
			best, distance = i, d
		}
	}
	if best < 0 {
		return -1
	}
	k := &a[best]
	if k.found || k.named || isExecution(k.Run) && isExecution(e.Run) || distance > 0 && (!near || apart(&k.Execution, e)) {
		return -1
	}
	return best
}

// apart reports whether what is known of the end of an attempt tells that a run
// is another one.
func apart(known, run *distro.Execution) bool {
	switch known.State {
	case distro.ExecutionStarted, distro.ExecutionLost:
		return !run.EndedAt.IsZero() && run.EndedAt.Before(known.StartedAt)
	case distro.ExecutionRetried:
		return run.State != known.State || !run.EndedAt.Equal(known.EndedAt)
	}
	return !run.EndedAt.Equal(known.EndedAt)
}

// open returns the attempt that an entry of the results, whose start is not
// known, ends: the last one that began before, if its end is not known.
func (a attempts) open(e *distro.Execution) int {
	// Where the clocks of RQ's worker and of Redis differ, it may seem to have
	// begun a little later.
	for _, late := range []time.Duration{time.Millisecond, sameMoment} {
		i := a.before(e.EndedAt.Add(late))
		switch {
		case i < 0:
		case a[i].isOpen():
			return i
		default:
			return -1
		}
	}
	return -1
}

// byEnd returns which attempts entries are whose start is not known, of those
// that ended alike and at about that time, the nearest ones first; -1 for none.
func (a attempts) byEnd(entries []*broker.StockRun) []int {
	type pair struct {
		entry, at int
		distance  time.Duration
	}
	var pairs []pair
	is := make([]int, len(entries))
	for i, run := range entries {
		is[i] = -1
		for at := range a {
			k := &a[at]
			if k.EndedAt.IsZero() || isEntry(k.Run) || k.State != run.Execution.State && k.State != distro.ExecutionLost {
				continue // one that was tried again left no entry, and an entry has its own
			}
			if d := k.EndedAt.Sub(run.Execution.EndedAt).Abs(); d <= sameMoment {
				pairs = append(pairs, pair{i, at, d})
			}
		}
	}
	slices.SortStableFunc(pairs, func(x, y pair) int { return cmp.Compare(x.distance, y.distance) })
	for _, p := range pairs {
		if is[p.entry] < 0 && !a[p.at].found {
			is[p.entry], a[p.at].found = p.at, true
		}
	}
	return is
}

// before returns the last attempt that began before a time.
func (a attempts) before(at time.Time) int {
	last := -1
	for i := range a {
		if k := &a[i]; !k.StartedAt.IsZero() && !k.StartedAt.After(at) && (last < 0 || k.StartedAt.After(a[last].StartedAt)) {
			last = i
		}
	}
	return last
}

// isOpen reports whether the end of the attempt is not known, and no run is it.
func (k *attempt) isOpen() bool {
	return !k.found && k.EndedAt.IsZero() && (k.State == distro.ExecutionStarted || k.State == distro.ExecutionLost)
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

// isEntry reports whether a Run is that of an attempt that only an entry of the
// results tells of.
func isEntry(run string) bool { return strings.HasPrefix(run, broker.StockEntry) }

// isExecution reports whether a Run is RQ's ID of an execution, which names it
// for certain.
func isExecution(run string) bool {
	return len(run) == 32 && strings.Trim(run, "0123456789abcdef") == ""
}
