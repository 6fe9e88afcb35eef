package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

func (s *Server) createJob(w http.ResponseWriter, r *http.Request) {
	body, err := s.readObject(w, r)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	request, err := parseNewJob(body)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	job, err := s.enqueue(r.Context(), request)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	s.writeCreated(w, r, job)
}

// writeCreated answers with a new job. A repeated request is answered with the
// job as it is now. One that ended already and is kept no longer was created all
// the same.
func (s *Server) writeCreated(w http.ResponseWriter, r *http.Request, job distro.Job) {
	if now, err := s.opts.Service.Get(r.Context(), job.ID); err == nil {
		job = now
	}
	w.Header().Set("Location", jobPath(job.ID))
	writeJSON(w, "application/json", http.StatusCreated, showJob(job))
}

func (s *Server) rerunJob(w http.ResponseWriter, r *http.Request) {
	body, err := s.readOptionalObject(w, r)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	request, err := parseRerun(body)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	request.ID, request.Caller = idFor(r.Context(), 0), callerOf(r.Context()).address
	job, err := s.opts.Service.Rerun(r.Context(), r.PathValue("id"), request)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	s.writeCreated(w, r, job)
}

// parseRerun reads a checked RerunJob, or nothing.
func parseRerun(body []byte) (service.RerunRequest, error) {
	var request service.RerunRequest
	var f fields
	for name, value := range f.members(body, 4) {
		known := name == "args" || name == "kwargs" || name == "queue" || name == "typed"
		switch {
		case !known:
			f.refuse(clip(name), "is unknown; there are args, kwargs, queue and typed")
		case jsonscan.KindOf(value) == jsonscan.Null:
		case name == "queue":
			request.Queue = f.text(name, value)
		case name == "typed":
			request.Typed = f.want(name, value, jsonscan.Bool) && string(value) == "true"
		case name == "args" && f.want(name, value, jsonscan.List):
			request.Args = value
		case name == "kwargs" && f.want(name, value, jsonscan.Object):
			request.Kwargs = value
		}
	}
	return request, f.err()
}

// enqueue enqueues a job of whoever sends the request.
func (s *Server) enqueue(ctx context.Context, request service.Request) (distro.Job, error) {
	sign(ctx, &request, 0)
	return s.opts.Service.Enqueue(ctx, request)
}

// sign notes who sends a request, of which this is job number i.
func sign(ctx context.Context, request *service.Request, i int) {
	if request.ID == "" {
		request.ID = idFor(ctx, i)
	}
	c := callerOf(ctx)
	request.Caller, request.Trigger = c.address, c.trigger(request.Delay > 0 || !request.At.IsZero())
}

func (s *Server) createJobs(w http.ResponseWriter, r *http.Request) {
	body, err := s.readObject(w, r)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	requests, err := parseBatch(body)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	for i := range requests {
		sign(r.Context(), &requests[i], i)
	}
	jobs, results, err := s.opts.Service.EnqueueMany(r.Context(), requests)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	reply := BatchReply{Jobs: make([]BatchItem, len(jobs))}
	for i, job := range jobs {
		reply.Jobs[i] = BatchItem{ID: job.ID, Result: resultName(results[i])}
	}
	writeJSON(w, "application/json", http.StatusCreated, reply)
}

func resultName(result broker.EnqueueResult) string {
	switch result {
	case broker.EnqueueRepeated:
		return "repeated"
	case broker.EnqueueConflict:
		return "conflict"
	default:
		return "enqueued"
	}
}

// parseBatch reads a checked BatchRequest.
func parseBatch(body []byte) ([]service.Request, error) {
	var f fields
	var requests []service.Request
	found := false
	for name, value := range f.members(body, 1) {
		if name != "jobs" {
			f.refuse(clip(name), "is unknown; there is only jobs")
			continue
		}
		found = true
		if f.want(name, value, jsonscan.List) {
			requests = f.batch(name, value)
		}
	}
	if !found && !f.ended {
		f.refuse("jobs", "is required")
	}
	return requests, f.err()
}

// batch reads the elements of a list of NewJob.
func (f *fields) batch(name string, list []byte) []service.Request {
	var requests []service.Request
	for value := range jsonscan.Elements(list) {
		i := len(requests)
		if f.full() {
			return nil
		}
		if i == service.MaxBatch {
			f.refuse(name, "must be at most %d jobs", service.MaxBatch)
			return nil
		}
		var request service.Request
		if at := fmt.Sprintf("%s[%d]", name, i); f.want(at, value, jsonscan.Object) {
			var err error
			request, err = parseNewJob(value)
			for e := range flatten(err) {
				f.add(service.InItem(name, i, e))
			}
		}
		requests = append(requests, request)
	}
	return requests
}

// parseNewJob reads a checked NewJob. Members it does not know are refused: a
// misspelled one would be a job that runs without it.
func parseNewJob(body []byte) (service.Request, error) {
	known := []string{"function", "args", "kwargs", "queue", "id", "delay", "at", "timeout", "retries", "typed"}
	var r service.Request
	var f fields
	for name, value := range f.members(body, len(known)) {
		if !slices.Contains(known, name) {
			hint := ""
			if nearest := distro.Nearest(name, known); nearest != "" {
				hint = "; did you mean " + nearest + "?"
			}
			f.refuse(clip(name), "is unknown%s", hint)
			continue
		}
		if jsonscan.KindOf(value) == jsonscan.Null && name != "function" {
			continue
		}
		f.newJob(&r, name, value)
	}
	if r.Function == "" && !f.ended && !f.refused("function") {
		f.refuse("function", "is required")
	}
	return r, f.err()
}

// newJob takes one member of a NewJob.
func (f *fields) newJob(r *service.Request, name string, value []byte) {
	switch name {
	case "function":
		r.Function = f.text(name, value)
	case "queue":
		r.Queue = f.text(name, value)
	case "id":
		r.ID = f.text(name, value)
	case "typed":
		r.Typed = f.want(name, value, jsonscan.Bool) && string(value) == "true"
	case "delay":
		r.Delay = f.duration(name, value)
	case "at":
		if text := f.text(name, value); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				f.refuse(name, "%.40q is not a time like 2026-10-31T08:00:00Z", text)
			}
			r.At = at
		}
	default:
		f.how(r, name, value)
	}
}

// how takes a member that says how a function is called, and that every request
// to enqueue names alike.
func (f *fields) how(r *service.Request, name string, value []byte) {
	switch name {
	case "args":
		if f.want(name, value, jsonscan.List) {
			r.Args = value
		}
	case "kwargs":
		if f.want(name, value, jsonscan.Object) {
			r.Kwargs = value
		}
	case "timeout":
		r.Timeout = f.seconds(name, value)
	case "retries":
		n := int(f.integer(name, value, 0, service.MaxRetries))
		r.Retries = &n
	}
}

// clip makes a name that a client made up fit to be shown.
func clip(name string) string {
	const longest = 100
	if name == "" {
		return `""`
	}
	if runes := []rune(name); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return name
}

type listJobsInput struct {
	Query    string `query:"q" maxLength:"4000" example:"state:failed kw.month=10" doc:"a search; see docs/search.md"`
	Queue    string `query:"queue" maxLength:"512"`
	Status   string `query:"status" enum:"scheduled,deferred,queued,started,finished,failed,stopped,canceled"`
	Function string `query:"function" maxLength:"1100" doc:"exact"`
	Cursor   string `query:"cursor" maxLength:"512" doc:"next of the page before"`
	Limit    int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

type listJobsOutput struct{ Body JobPage }

func (s *Server) listJobs(ctx context.Context, in *listJobsInput) (*listJobsOutput, error) {
	page, partial, err := s.opts.Service.Search(ctx, in.Query, broker.ListQuery{
		Queue: in.Queue, Status: distro.Status(in.Status), Function: in.Function, Cursor: in.Cursor, Limit: in.Limit,
	}, service.SearchTime)
	if err != nil {
		return nil, err
	}
	out := &listJobsOutput{JobPage{Jobs: make([]Job, len(page.Jobs)), Next: page.Next, Partial: partial}}
	for i, job := range page.Jobs {
		out.Body.Jobs[i] = showJob(job)
	}
	return out, nil
}

type countJobsInput struct {
	Query    string `query:"q" maxLength:"4000" example:"state:failed queue:high" doc:"a search; see docs/search.md"`
	Queue    string `query:"queue" maxLength:"512"`
	Status   string `query:"status" enum:"scheduled,deferred,queued,started,finished,failed,stopped,canceled"`
	Function string `query:"function" maxLength:"1100" doc:"exact"`
}

type countJobsOutput struct{ Body JobCount }

func (s *Server) countJobs(ctx context.Context, in *countJobsInput) (*countJobsOutput, error) {
	n, exact, err := s.opts.Service.CountJobs(ctx, in.Query, broker.ListQuery{
		Queue: in.Queue, Status: distro.Status(in.Status), Function: in.Function,
	})
	if err != nil {
		return nil, err
	}
	return &countJobsOutput{JobCount{n, exact}}, nil
}

type jobInput struct {
	ID string `path:"id" doc:"percent-escaped"`
}

type getJobInput struct {
	ID   string `path:"id" doc:"percent-escaped"`
	Wait string `query:"wait" maxLength:"40" example:"30s" doc:"answer when the job ended, at the latest after this time, at most 60s"`
}

type jobOutput struct{ Body Job }

func (s *Server) getJob(ctx context.Context, in *getJobInput) (*jobOutput, error) {
	var limit time.Duration
	if in.Wait != "" {
		var err error
		if limit, err = time.ParseDuration(in.Wait); err != nil || limit < 0 {
			return nil, distro.Invalid("wait", "%.40q is not a time like 30s", in.Wait)
		}
	}
	ctx, release := s.untilClosing(ctx)
	defer release()
	job, err := s.opts.Service.Wait(ctx, in.ID, limit)
	if err != nil {
		return nil, err
	}
	return &jobOutput{showJob(job)}, nil
}

// untilClosing returns a context that also ends when the server shuts down,
// and a function that must be called when it is not needed any more.
func (s *Server) untilClosing(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-done }
}

func (s *Server) deleteJob(ctx context.Context, in *jobInput) (*struct{}, error) {
	if err := s.opts.Service.Delete(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, nil
}

func (s *Server) act(ctx context.Context, action broker.Action, in *jobInput) (*jobOutput, error) {
	job, err := s.opts.Service.Act(ctx, action, in.ID)
	if err != nil {
		return nil, err
	}
	return &jobOutput{showJob(job)}, nil
}

func (s *Server) cancelJob(ctx context.Context, in *jobInput) (*jobOutput, error) {
	return s.act(ctx, broker.ActionCancel, in)
}

func (s *Server) stopJob(ctx context.Context, in *jobInput) (*jobOutput, error) {
	return s.act(ctx, broker.ActionStop, in)
}

func (s *Server) requeueJob(ctx context.Context, in *jobInput) (*jobOutput, error) {
	return s.act(ctx, broker.ActionRequeue, in)
}

func (s *Server) runFirstJob(ctx context.Context, in *jobInput) (*jobOutput, error) {
	return s.act(ctx, broker.ActionRunFirst, in)
}
