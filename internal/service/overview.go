package service

import (
	"context"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/store"
)

// Overview is how things stand, and how they went for some time.
type Overview struct {
	Current

	Window  time.Duration // the time that the rest is of
	Ended   map[distro.ExecutionState]int
	Waited  store.Quantiles
	Took    store.Quantiles
	Failing []Failing    // functions that failed, the most often first, at most maxFailing
	Started []distro.Job // some of those that run, at most shownJobs, without arguments and results
	Behind  time.Time    // since when history lacks what happens; zero: it does not
}

// Failing is a function that failed.
type Failing struct {
	Function string // dotted, with its module
	Failed   int    // executions that failed or were lost
	Ended    int    // all that ended
	// Last is the newest of those that failed; without a JobID where history
	// has it no more.
	Last distro.Execution
}

const (
	maxFailing = 10
	shownJobs  = 20
	maxWindow  = 31 * 24 * time.Hour
)

// Overview tells of what is, and of what ended in the window up to now.
func (s *Service) Overview(ctx context.Context, window time.Duration) (Overview, error) {
	if window < time.Minute || window > maxWindow {
		return Overview{}, distro.Invalid("window", "must be 1m to %dh", maxWindow/time.Hour)
	}
	now, err := s.Current(ctx)
	if err != nil {
		return Overview{}, err
	}
	page, err := s.List(ctx, broker.ListQuery{Status: distro.StatusStarted, Limit: shownJobs})
	if err != nil {
		return Overview{}, err
	}
	o := Overview{Current: now, Started: page.Jobs, Window: window, Ended: map[distro.ExecutionState]int{}, Behind: s.opts.Behind()}
	if s.opts.History == nil {
		return o, nil
	}
	to := s.opts.Now()
	q := store.SeriesQuery{From: to.Add(-window), To: to}
	all, err := s.Series(ctx, q)
	if err != nil {
		return Overview{}, err
	}
	for _, line := range all {
		for _, p := range line.Points {
			o.Ended, o.Waited, o.Took = p.Ended, p.Waited, p.Took
		}
	}
	if o.Ended[distro.ExecutionFailed]+o.Ended[distro.ExecutionLost] == 0 {
		return o, nil
	}
	o.Failing, err = s.failing(ctx, q)
	return o, err
}

// failing finds the functions that failed most often.
func (s *Service) failing(ctx context.Context, q store.SeriesQuery) ([]Failing, error) {
	q.By = store.ByFunction
	lines, err := s.Series(ctx, q)
	if err != nil {
		return nil, err
	}
	var list []Failing
	for _, line := range lines {
		f := Failing{Function: line.Name}
		for _, p := range line.Points {
			for state, n := range p.Ended {
				f.Ended += n
				if state == distro.ExecutionFailed || state == distro.ExecutionLost {
					f.Failed += n
				}
			}
		}
		if f.Failed > 0 {
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(a, b Failing) int { return b.Failed - a.Failed })
	list = list[:min(len(list), maxFailing)]
	for i := range list {
		page, err := s.opts.History.Executions(ctx, store.Query{Limit: 1, Filter: store.And{
			store.Functions{list[i].Function}, store.States{distro.ExecutionFailed, distro.ExecutionLost}, store.Started{From: q.From},
		}})
		if err != nil {
			return nil, historyFault(err)
		}
		if len(page.Executions) > 0 {
			list[i].Last = page.Executions[0].Execution
		}
	}
	return list, nil
}
