package httpapi

import (
	"context"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Overview is how things stand, and how they went in a window of time.
type Overview struct {
	EventOverview

	Window  string         `json:"window" example:"24h0m0s" doc:"time up to now that the rest is of"`
	Ended   map[string]int `json:"ended" doc:"number of executions that ended in the window, by state"`
	Waited  Quantiles      `json:"waited"`
	Took    Quantiles      `json:"took"`
	Failing []Failing      `json:"failing" doc:"functions that failed, the most often first, at most 10"`
	Started []Job          `json:"started" doc:"some of the jobs that run, at most 20"`
	Behind  *time.Time     `json:"behind_since,omitempty" doc:"history lacks what happened since: its database cannot be reached"`
}

// Failing is a function that failed in the window.
type Failing struct {
	Function string     `json:"function"`
	Failed   int        `json:"failed" doc:"executions that failed or were lost"`
	Ended    int        `json:"ended" doc:"all that ended"`
	Last     *Execution `json:"last,omitempty" doc:"the newest that failed, without its traceback"`
}

type overviewInput struct {
	Window string `query:"window" maxLength:"20" default:"24h" doc:"1m to 744h"`
}

type overviewOutput struct{ Body Overview }

func (s *Server) overview(ctx context.Context, in *overviewInput) (*overviewOutput, error) {
	window, err := time.ParseDuration(in.Window)
	if err != nil {
		return nil, distro.Invalid("window", "%.40q is not a time like 30m or 24h", in.Window)
	}
	o, err := s.opts.Service.Overview(ctx, window)
	if err != nil {
		return nil, err
	}
	shown := Overview{
		EventOverview: showCurrent(&o.Current), Window: o.Window.String(), Ended: make(map[string]int, len(o.Ended)),
		Waited: showQuantiles(o.Waited), Took: showQuantiles(o.Took), Failing: make([]Failing, len(o.Failing)),
		Started: make([]Job, len(o.Started)), Behind: moment(o.Behind),
	}
	for state, n := range o.Ended {
		shown.Ended[string(state)] = n
	}
	for i, f := range o.Failing {
		shown.Failing[i] = Failing{Function: f.Function, Failed: f.Failed, Ended: f.Ended}
		if f.Last.JobID != "" {
			last := showExecution(&f.Last)
			shown.Failing[i].Last = &last
		}
	}
	for i, job := range o.Started {
		shown.Started[i] = showJob(job)
	}
	return &overviewOutput{shown}, nil
}
