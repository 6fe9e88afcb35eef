package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/guard"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// The endpoints of the system that Distro replaces. Their fields, their order
// and their messages are a contract.

// ModuleItem is an element of the answer to GET /scheduler/modules.
type ModuleItem struct {
	Module string `json:"module" doc:"dotted, relative to modules_path"`
}

// NewTask is the body of POST /scheduler/queue-task.
type NewTask struct {
	Module   string          `json:"module" example:"hello_world" doc:"dotted, relative to modules_path"`
	Function string          `json:"function" example:"send_hello_world" doc:"function or Class.staticmethod"`
	Queue    string          `json:"queue" example:"default"`
	Args     json.RawMessage `json:"args,omitempty" doc:"positional arguments"`
	Kwargs   json.RawMessage `json:"kwargs,omitempty" doc:"keyword arguments"`
	JobID    string          `json:"job_id,omitempty" pattern:"^[A-Za-z0-9_-]{1,128}$" doc:"makes the request repeatable; default: a random UUID"`
	Timeout  string          `json:"timeout,omitempty" doc:"of one attempt, like 90s or a number of seconds; \"none\" for no limit"`
	Retries  *int            `json:"retries,omitempty" minimum:"0" maximum:"100" doc:"attempts that may follow a failed one"`
}

// NewScheduledTask is the body of POST /scheduler/schedule-task.
type NewScheduledTask struct {
	NewTask
	Seconds int64 `json:"seconds,omitempty" minimum:"0" doc:"to wait first; with hours and minutes at most 10 years"`
	Minutes int64 `json:"minutes,omitempty" minimum:"0" example:"10"`
	Hours   int64 `json:"hours,omitempty" minimum:"0"`
}

// TaskReply answers a request to queue a task.
type TaskReply struct {
	Message string `json:"message"`
	Task    string `json:"task" doc:"module.function"`
	ID      string `json:"id" doc:"of the job"`
}

// CleanReply answers /scheduler/clean-queue.
type CleanReply struct {
	Message string `json:"message"`
}

// Health answers GET /healthz and /readyz.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

func (s *Server) modules(w http.ResponseWriter, r *http.Request) {
	names, err := s.opts.Service.Modules(r.Context())
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "query"))
		return
	}
	items := make([]ModuleItem, len(names))
	for i, name := range names {
		items[i].Module = name
	}
	writeJSON(w, "application/json", http.StatusOK, items)
}

func (s *Server) queueTask(w http.ResponseWriter, r *http.Request) {
	s.enqueueTask(w, r, parseTask)
}

func (s *Server) scheduleTask(w http.ResponseWriter, r *http.Request) {
	s.enqueueTask(w, r, parseScheduledTask)
}

func (s *Server) enqueueTask(w http.ResponseWriter, r *http.Request, parse func([]byte) (task, error)) {
	body, err := s.readObject(w, r)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	t, err := parse(body)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "body"))
		return
	}
	job, err := s.enqueue(r.Context(), t.request)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), inOriginalField(err), "body"))
		return
	}
	w.Header().Set("Location", jobPath(job.ID))
	writeJSON(w, "application/json", http.StatusCreated, TaskReply{t.message(job.Queue), job.Function, job.ID})
}

// inOriginalField names the field that the service calls "id" as the original
// endpoints do.
func inOriginalField(err error) error {
	e, ok := errors.AsType[*distro.Error](err)
	if !ok || e.Field != "id" {
		return err
	}
	return &distro.Error{Code: e.Code, Field: "job_id", Message: e.Message, Err: e.Err}
}

// jobPath is the address of a job.
func jobPath(id string) string { return "/api/v1/jobs/" + url.PathEscape(id) }

// task is a parsed body of queue-task or schedule-task.
type task struct {
	request                 service.Request
	scheduled               bool
	hours, minutes, seconds int64
}

func (t task) message(queue string) string {
	if !t.scheduled {
		return "task enqueued on " + queue + " queue."
	}
	return fmt.Sprintf("task scheduled for %d Hours, %d Minutes and %d Seconds from now on %s queue.",
		t.hours, t.minutes, t.seconds, queue)
}

// taskMembers is how many members a body of queue-task has.
const taskMembers = 8

// parseTask reads a body of queue-task, which is a checked JSON object.
// Members it does not know are ignored, as the original ignored them.
func parseTask(body []byte) (task, error) {
	var t task
	var f fields
	for name, value := range f.members(body, taskMembers) {
		t.field(&f, name, value)
	}
	t.require(&f)
	return t, f.err()
}

// parseScheduledTask reads a body of schedule-task.
func parseScheduledTask(body []byte) (task, error) {
	const longest = int64(service.MaxDelay / time.Second)
	t := task{scheduled: true}
	var f fields
	for name, value := range f.members(body, taskMembers+3) {
		switch {
		case jsonscan.KindOf(value) == jsonscan.Null:
			t.field(&f, name, value)
		case name == "hours":
			t.hours = f.integer(name, value, 0, longest/3600)
		case name == "minutes":
			t.minutes = f.integer(name, value, 0, longest/60)
		case name == "seconds":
			t.seconds = f.integer(name, value, 0, longest)
		default:
			t.field(&f, name, value)
		}
	}
	t.require(&f)
	total := t.hours*3600 + t.minutes*60 + t.seconds
	if total > longest {
		f.refuse(t.largest(), "the delay is longer than 10 years in total")
	}
	t.request.Delay = time.Duration(total) * time.Second
	t.request.Schedule = fmt.Sprintf("%dh%dm%ds", t.hours, t.minutes, t.seconds)
	return t, f.err()
}

// largest is the name of the part that adds most to the delay.
func (t *task) largest() string {
	switch {
	case t.hours*3600 >= max(t.minutes*60, t.seconds):
		return "hours"
	case t.minutes*60 >= t.seconds:
		return "minutes"
	}
	return "seconds"
}

// field takes one member of a body. An optional one that is null is absent.
func (t *task) field(f *fields, name string, value []byte) {
	r := &t.request
	switch name {
	case "module":
		r.Module = f.text(name, value)
	case "function":
		r.Function = f.text(name, value)
	case "queue":
		r.Queue = f.text(name, value)
	}
	if jsonscan.KindOf(value) == jsonscan.Null {
		return
	}
	if name == "job_id" {
		r.ID = f.text(name, value)
		return
	}
	f.how(r, name, value)
}

// require refuses a body without its required members.
func (t *task) require(f *fields) {
	for _, member := range []struct{ name, value string }{
		{"module", t.request.Module}, {"function", t.request.Function}, {"queue", t.request.Queue},
	} {
		if member.value == "" && !f.ended && !f.refused(member.name) {
			f.refuse(member.name, "is required")
		}
	}
}

// The address whose GET is no HEAD without a body.
const (
	cleanPath    = "/scheduler/clean-queue"
	cleanMethods = "DELETE, GET, POST"
)

func (s *Server) cleanQueue(w http.ResponseWriter, r *http.Request) {
	liftDeadlines(w)
	queue, err := cleanTarget(r)
	if err == nil {
		_, err = s.opts.Service.Clean(r.Context(), queue)
	}
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "query"))
		return
	}
	writeJSON(w, "application/json", http.StatusOK, CleanReply{"queue cleaned up"})
}

// cleanQueueByGet is the one GET that changes something. A browser sends a GET
// for any page that asks it to.
func (s *Server) cleanQueueByGet(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		methodNotAllowed(w, r, cleanMethods)
		return
	}
	if guard.Foreign(r) {
		writeProblem(w, newProblem(http.StatusForbidden, distro.CodeForbidden, "a page of another origin may not do this"))
		return
	}
	s.cleanQueue(w, r)
}

// cleanTarget is the queue that a request limits the cleaning to; empty: all.
// Whoever writes ?queue= and forgets the name does not mean all.
func cleanTarget(r *http.Request) (string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", distro.Invalid("queue", "the query cannot be read")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if name != "queue" {
			return "", distro.Invalid(clip(name), "is unknown; there is only queue")
		}
	}
	names := query["queue"]
	switch {
	case len(names) == 0:
		return "", nil
	case len(names) > 1:
		return "", distro.Invalid("queue", "name one queue, or none for all")
	case names[0] == "":
		return "", distro.Invalid("queue", "must not be empty; leave it out for all queues")
	}
	return names[0], nil
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, "application/json", http.StatusOK, Health{"ok"})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.opts.Ready(r.Context()); err != nil {
		s.opts.Logger.WarnContext(r.Context(), "not ready", "error", err)
		writeProblem(w, newProblem(http.StatusServiceUnavailable, distro.CodeUnavailable, "not ready; the log of the server says why"))
		return
	}
	writeJSON(w, "application/json", http.StatusOK, Health{"ok"})
}
