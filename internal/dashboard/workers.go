package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/store"
)

// workersView is the page of the workers, by the machine they are on.
type workersView struct {
	Suspended bool
	Hosts     []hostGroup
	Silent    []workerRow // those that have not beaten for some time
	Slots     int
	Running   int
	Redis     bool // workers can be started elsewhere
	Command   string
}

type hostGroup struct {
	Host    string
	Workers []workerRow
}

// workerRow is a worker and what it does.
type workerRow struct {
	Name     string
	Host     string
	PID      int
	Tone     string
	State    string // key of a text
	Jobs     []jobRow
	Queues   []string
	Seen     moment
	Up       string
	Finished int64
	Failed   int64
	Slots    int
	Runs     int
	Software string // Distro's or RQ's, with the interpreter
	Stock    bool
}

func (s *Server) workers(r *request) error {
	workers, err := s.opts.Service.Workers(r.Context())
	if err != nil {
		return err
	}
	now, err := s.opts.Service.Current(r.Context())
	if err != nil {
		return err
	}
	view := workersView{Suspended: now.Suspended, Slots: now.Slots, Running: now.Running}
	slices.SortStableFunc(workers, func(a, b distro.Worker) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Name, b.Name)) })
	for i := range workers {
		row := r.viewWorker(&workers[i])
		if row.State == "worker.silent" {
			view.Silent = append(view.Silent, row)
			continue
		}
		if row.Jobs, err = s.running(r, &workers[i]); err != nil {
			return err
		}
		if last := len(view.Hosts) - 1; last >= 0 && view.Hosts[last].Host == row.Host {
			view.Hosts[last].Workers = append(view.Hosts[last].Workers, row)
		} else {
			view.Hosts = append(view.Hosts, hostGroup{row.Host, []workerRow{row}})
		}
	}
	return s.show(r, http.StatusOK, "workers", "nav.workers", view, live("overview"))
}

func (r *reader) viewWorker(w *distro.Worker) workerRow {
	row := workerRow{
		Name: w.Name, Host: w.Host, PID: w.PID, Queues: w.Queues, Seen: r.moment(w.SeenAt), Up: r.lasted(r.now.Sub(w.StartedAt)),
		Finished: w.Finished, Failed: w.Failed, Slots: max(w.Slots, 1), Runs: len(w.Running), Stock: w.Stock,
	}
	row.Software = "Distro " + w.Version
	if w.Stock {
		row.Software = "RQ " + w.Version
	}
	if w.Python != "" {
		row.Software += " · Python " + w.Python
	}
	if w.Isolation != "" {
		row.Software += " · " + w.Isolation
	}
	row.Tone, row.State = "done", "worker.idle"
	switch {
	case r.now.Sub(w.SeenAt) > silentFor:
		row.Tone, row.State = "fail", "worker.silent"
	case w.Draining:
		row.Tone, row.State = "wait", "worker.draining"
	case row.Runs > 0:
		row.Tone, row.State = "run", "worker.busy"
	}
	return row
}

// running are the jobs that a worker runs, some of them.
func (s *Server) running(r *request, w *distro.Worker) ([]jobRow, error) {
	var rows []jobRow
	for _, id := range w.Running[:min(len(w.Running), 8)] {
		job, err := s.opts.Service.Get(r.Context(), id)
		if distro.ErrorCode(err) == distro.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, r.rowOfJob(&job))
	}
	return rows, nil
}

// workerView is the page of a worker.
type workerView struct {
	Row    workerRow
	There  bool // it beats, or did lately
	Hears  bool // it can be stopped from here
	Lanes  []lane
	From   moment
	To     moment
	Rows   []jobRow
	Busy   string
	More   string // address of all of its executions
	Finish int
}

// lane is a row of the timeline: runs that do not overlap.
type lane struct{ Bars []laneBar }

// laneBar is a run, placed in thousandths of the time that is shown.
type laneBar struct {
	Row        jobRow
	Left, Wide int
}

const (
	timelineFor  = time.Hour
	timelineRuns = 200
)

func (s *Server) worker(r *request) error {
	name := r.PathValue("worker")
	workers, err := s.opts.Service.Workers(r.Context())
	if err != nil {
		return err
	}
	view := workerView{Row: workerRow{Name: name, Tone: "rest", State: "worker.gone"}}
	for i := range workers {
		if workers[i].Name != name {
			continue
		}
		view.Row, view.There, view.Hears = r.viewWorker(&workers[i]), true, s.opts.Service.HasCommands()
		if view.Row.Jobs, err = s.running(r, &workers[i]); err != nil {
			return err
		}
	}
	if s.full() {
		text := search.Name{Field: search.FieldWorker, Pattern: name}.String()
		view.More = query("/jobs", "q", r.T("search.worker")+":"+quoted(name))
		found, err := s.opts.Service.Executions(r.Context(), text, "", timelineRuns)
		if err != nil {
			return err
		}
		r.fillTimeline(&view, found.Executions)
	}
	if !view.There && len(view.Rows) == 0 {
		return distro.Errorf(distro.CodeNotFound, "there is no worker %.128q", name)
	}
	return s.show(r, http.StatusOK, "worker", name, view, live("overview"))
}

// fillTimeline lays the runs of the last hour onto lanes.
func (r *reader) fillTimeline(view *workerView, newest []store.Entry) {
	from := r.now.Add(-timelineFor)
	view.From, view.To = r.moment(from), r.moment(r.now)
	var ends []time.Time // of the last run on each lane
	busy := time.Duration(0)
	for i := len(newest) - 1; i >= 0; i-- {
		x := &newest[i].Execution
		begin, end := x.StartedAt, x.EndedAt
		if end.IsZero() {
			end = r.now
		}
		if begin.IsZero() || end.Before(from) {
			continue
		}
		begin = latest(begin, from)
		busy += end.Sub(begin)
		at := slices.IndexFunc(ends, func(t time.Time) bool { return !t.After(begin) })
		if at < 0 {
			at = len(ends)
			ends, view.Lanes = append(ends, end), append(view.Lanes, lane{})
		}
		ends[at] = end
		left := int(1000 * begin.Sub(from) / timelineFor)
		view.Lanes[at].Bars = append(view.Lanes[at].Bars, laneBar{r.rowOfExecution(x), left, max(int(1000*end.Sub(begin)/timelineFor), 2)})
	}
	view.Busy = r.percent(int(busy/time.Second), int(timelineFor/time.Second)*max(view.Row.Slots, 1))
	for i := range newest[:min(len(newest), 20)] {
		view.Rows = append(view.Rows, r.rowOfExecution(&newest[i].Execution))
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// actOnWorkers suspends all workers, or lets them go on.
func (s *Server) actOnWorkers(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	action := r.PathValue("action")
	if action != "suspend" && action != "resume" {
		return distro.Errorf(distro.CodeNotFound, "there is no action %.40q", action)
	}
	if err := s.opts.Service.SetSuspended(r.Context(), action == "suspend"); err != nil {
		return err
	}
	return r.seeOther("/workers")
}

func workerURL(name string) string { return "/workers/" + url.PathEscape(name) }

// actOnWorker tells one worker what a button asks for.
func (s *Server) actOnWorker(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	name := r.PathValue("worker")
	tell := map[string]func(context.Context, string) (distro.Worker, error){
		"stop": s.opts.Service.StopWorker, "kill-horse": s.opts.Service.KillHorse,
	}[r.PathValue("action")]
	if tell == nil {
		return distro.Errorf(distro.CodeNotFound, "there is no action %.40q", r.PathValue("action"))
	}
	if _, err := tell(r.Context(), name); err != nil {
		return err
	}
	return r.seeOther(workerURL(name))
}

// schedulesView is the page of what is due.
type schedulesView struct {
	Rows []jobRow
	More string
}

// schedules shows the jobs that wait for their time.
func (s *Server) schedules(r *request) error {
	rows, err := s.upcoming(r, jobsOnPage)
	if err != nil {
		return err
	}
	view := schedulesView{Rows: rows, More: query("/jobs", "q", r.withState("", "scheduled"))}
	return s.show(r, http.StatusOK, "schedules", "nav.schedules", view, live("jobs", "overview"))
}

// upcoming are the jobs that are due next.
func (s *Server) upcoming(r *request, n int) ([]jobRow, error) {
	counts, err := s.opts.Service.Queues(r.Context())
	if err != nil {
		return nil, err
	}
	var next []broker.Place
	for _, q := range counts.Queues {
		if q.Jobs[distro.StatusScheduled] == 0 {
			continue
		}
		found, err := s.opts.Service.Places(r.Context(), broker.PlaceQuery{Queue: q.Name, Status: distro.StatusScheduled, Limit: n})
		if err != nil {
			return nil, err
		}
		next = append(next, found.Places...)
	}
	next = slices.DeleteFunc(next, func(p broker.Place) bool { return p.Gone })
	slices.SortStableFunc(next, func(a, b broker.Place) int { return a.Job.DueAt.Compare(b.Job.DueAt) })
	return s.rowsOfPlaces(r, next[:min(len(next), n)])
}
