package dashboard

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/service"
)

const (
	jobsOnPage    = 50
	waitingOnPage = 5 // jobs that wait, above what ran
	maxRowsAtOnce = 100

	// waitingTime is how long those that wait are looked for: what ran is what the
	// reader came for.
	waitingTime = 100 * time.Millisecond
)

// jobsView is the page of the jobs.
type jobsView struct {
	Query   string // of the search, as it was written
	Problem string // why it cannot be understood
	Column  int    // where, from 1
	Chips   []chip
	Queues  []string
	Queue   string // that the search selects; empty: none, or several

	Waiting        []jobRow // some that wait, where the list is of what ran
	WaitingTotal   int      // how many wait, whatever is searched for
	WaitingPartial bool     // more that wait may match
	Rows           []jobRow
	Numbers        []pageNumber // where pages have numbers
	Next           string       // address of the next page
	First          string       // address of the first page, where this is another
	Partial        bool         // looking took too long: the next page goes on
	Found          string       // how many there are, where that is known
	Actions        []string
	Filtered       bool
	Operators      searchHelp

	behind time.Time // since when history lacks what happens
}

// chip is a state that can be chosen.
type chip struct {
	State stateView // without a code: all
	Count string    // of jobs that are known to be in it; empty: not known
	URL   string
	On    bool
}

// searchHelp is what the search box suggests.
type searchHelp struct {
	Fields []string `json:"fields"`
	States []string `json:"states"`
}

// jobs shows what is in the queue and what ran.
func (s *Server) jobs(r *request) error {
	view := jobsView{Query: strings.TrimSpace(r.query("q"))}
	status := http.StatusOK
	expr, err := search.Parse(view.Query, search.Options{Now: r.now, Zone: r.zone})
	if err != nil {
		view.Problem, view.Column = r.searchProblem(err)
		status = http.StatusUnprocessableEntity
		expr, _ = search.Parse("", search.Options{Now: r.now}) // an empty search is one
	}
	state := stateIn(expr)
	view.Queue = queueIn(expr)
	view.Filtered = view.Query != ""
	if err := s.fillChips(r, &view, state); err != nil {
		return err
	}
	if view.Problem == "" {
		if err := s.fillJobs(r, &view, state); err != nil {
			return err
		}
	}
	if view.First = r.query("after"); view.First != "" {
		view.First = query("/jobs", "q", view.Query)
	}
	view.Actions = actionsFor(state)
	return s.show(r, status, "jobs", "nav.jobs", view, live("jobs", "overview"), r.behind(view.behind))
}

// fillJobs lists the jobs of the queue where the search is for such as only the
// queue knows, else what ran, with some of those that wait.
func (s *Server) fillJobs(r *request, view *jobsView, state string) error {
	after := r.query("after")
	if numbered, err := s.fillNumbered(r, view, state); numbered || err != nil {
		return err
	}
	if waits(state) || !s.full() {
		page, partial, err := s.opts.Service.Search(r.Context(), view.Query, broker.ListQuery{Cursor: after, Limit: jobsOnPage}, service.SearchTime)
		if err != nil {
			return err
		}
		view.Rows, err = s.rowsOfJobs(r, page.Jobs)
		if err != nil {
			return err
		}
		view.Partial = partial
		if page.Next != "" {
			view.Next = query("/jobs", "q", view.Query, "after", page.Next)
		}
		return nil
	}
	if state == "" && after == "" {
		if err := s.fillWaiting(r, view); err != nil {
			return err
		}
	}
	found, err := s.opts.Service.Executions(r.Context(), view.Query, after, jobsOnPage)
	if err != nil {
		return err
	}
	for i := range found.Executions {
		view.Rows = append(view.Rows, r.rowOfExecution(&found.Executions[i].Execution))
	}
	view.Partial, view.behind = found.Partial, found.Behind
	if found.Next != "" {
		view.Next = query("/jobs", "q", view.Query, "after", found.Next)
	}
	return nil
}

// fillWaiting adds some of the jobs that wait.
func (s *Server) fillWaiting(r *request, view *jobsView) error {
	page, partial, err := s.opts.Service.Search(r.Context(), view.Query, broker.ListQuery{Status: distro.StatusQueued, Limit: waitingOnPage}, waitingTime)
	if err != nil {
		return err
	}
	view.WaitingPartial = partial
	view.Waiting, err = s.rowsOfJobs(r, page.Jobs)
	return err
}

// rowsOfJobs are the lines of listed jobs, with their arguments.
func (s *Server) rowsOfJobs(r *request, listed []distro.Job) ([]jobRow, error) {
	ids := make([]string, len(listed))
	for i := range listed {
		ids[i] = listed[i].ID
	}
	lines, err := s.opts.Service.ArgumentLines(r.Context(), ids)
	rows := make([]jobRow, len(listed))
	for i := range listed {
		rows[i] = r.rowOfJob(&listed[i])
		rows[i].Arguments = cut(lines[rows[i].ID], shownArguments)
	}
	return rows, err
}

// fillChips offers the states, and the queues.
func (s *Server) fillChips(r *request, view *jobsView, state string) error {
	now, err := s.opts.Service.Current(r.Context())
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, q := range now.Queues {
		view.Queues = append(view.Queues, q.Name)
		for status, n := range q.Jobs {
			counts[string(status)] += n
		}
	}
	view.WaitingTotal = counts[string(distro.StatusQueued)]
	for _, code := range []distro.Status{
		"", distro.StatusQueued, distro.StatusStarted, distro.StatusFailed, distro.StatusFinished,
		distro.StatusScheduled, distro.StatusDeferred, distro.StatusStopped, distro.StatusCanceled,
	} {
		c := chip{State: viewState(string(code)), On: string(code) == state, URL: query("/jobs", "q", r.withState(view.Query, string(code)))}
		if code != "" && (waits(string(code)) || code == distro.StatusStarted || !s.full()) {
			c.Count = r.number(counts[string(code)])
		}
		view.Chips = append(view.Chips, c)
	}
	view.Operators = searchHelp{Fields: r.listed("search.fields"), States: r.listed("search.states")}
	return nil
}

// listed is a text that is a list.
func (r *reader) listed(key string) []string { return strings.Fields(r.T(key)) }

// waits reports whether only the queue knows of jobs in a state.
func waits(state string) bool {
	return slices.Contains([]string{"queued", "scheduled", "deferred", "canceled"}, state)
}

// stateIn is the state that every job of a search is in; empty: no certain one.
func stateIn(expr search.Expr) string {
	for _, part := range conjuncts(expr) {
		if e, ok := part.(search.State); ok {
			return e.Value
		}
	}
	return ""
}

// queueIn is the queue that every job of a search is in; empty: no certain one.
func queueIn(expr search.Expr) string {
	for _, part := range conjuncts(expr) {
		if e, ok := part.(search.Name); ok && e.Field == search.FieldQueue && !strings.Contains(e.Pattern, "*") {
			return e.Pattern
		}
	}
	return ""
}

// conjuncts are the parts that a job must match all of.
func conjuncts(expr search.Expr) search.And {
	if parts, ok := expr.(search.And); ok {
		return parts
	}
	return search.And{expr}
}

// The parts of a search that chips put in and take out.
var (
	stateTerm = regexp.MustCompile(`(?i)(^|\s)(?:estado|state|status):\S+`)
	queueTerm = regexp.MustCompile(`(?i)(^|\s)(?:fila|queue):(?:"[^"]*"|\S+)`)
)

// withState is a search for another state.
func (r *reader) withState(text, code string) string {
	rest := strings.TrimSpace(stateTerm.ReplaceAllString(text, "$1"))
	if code == "" {
		return rest
	}
	return strings.TrimSpace(r.T("search.state") + ":" + r.T("search.state."+code) + " " + rest)
}

// withQueue is a search in another queue.
func (r *reader) withQueue(text, queue string) string {
	rest := strings.TrimSpace(queueTerm.ReplaceAllString(text, "$1"))
	if queue == "" {
		return rest
	}
	return strings.TrimSpace(rest + " " + r.T("search.queue") + ":" + quoted(queue))
}

// quoted is a value as the search language takes it.
func quoted(value string) string {
	if strings.ContainsAny(value, " \t()\"") || value == "" {
		return `"` + strings.ReplaceAll(strings.ReplaceAll(value, `\`, `\\`), `"`, `\"`) + `"`
	}
	return value
}

// searchProblem says in the reader's language what is wrong with a search, and
// in which column.
func (r *reader) searchProblem(err error) (text string, column int) {
	e, ok := errors.AsType[*search.Error](err)
	if !ok {
		return err.Error(), 0
	}
	text = r.T("search.problem."+string(e.Kind), e.Word, e.Column)
	if e.Nearest != "" {
		text += " " + r.T("search.problem.nearest", e.Nearest)
	}
	return text, e.Column
}

// actionsFor are what can be done to many jobs of a state.
func actionsFor(state string) []string {
	switch {
	case state == "failed" || state == "stopped":
		return []string{"requeue", "delete"}
	case state == "canceled":
		return []string{"requeue", "delete"}
	case waits(state):
		return []string{"cancel", "delete"}
	case state == "":
		return []string{"requeue", "cancel", "delete"}
	}
	return []string{"delete"}
}

// jobRows answers with the lines of some jobs, for lists that are kept up to date.
func (s *Server) jobRows(r *request) error {
	ids := strings.Split(r.query("ids"), ",")
	if len(ids) > maxRowsAtOnce {
		return distro.Invalid("ids", "must be at most %d", maxRowsAtOnce)
	}
	var rows []jobRow
	for _, id := range ids {
		row, err := s.newestRow(r, id)
		if distro.ErrorCode(err) == distro.CodeNotFound {
			continue
		}
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return s.showPart(r, "jobs", "rows", jobsView{Rows: rows})
}

// newestRow is the line of a job as it is now.
func (s *Server) newestRow(r *request, id string) (jobRow, error) {
	if s.full() {
		attempts, err := s.opts.Service.Attempts(r.Context(), id)
		if err == nil && len(attempts) > 0 {
			last := attempts[len(attempts)-1]
			if job, err := s.opts.Service.Get(r.Context(), id); err == nil && waits(string(job.Status)) {
				return r.rowOfJob(&job), nil
			}
			return r.rowOfExecution(&last), nil
		}
	}
	job, err := s.opts.Service.Find(r.Context(), id)
	if err != nil {
		return jobRow{}, err
	}
	row := r.rowOfJob(&job)
	row.Arguments = cut(service.ArgumentLine(job.Payload), shownArguments)
	return row, nil
}
