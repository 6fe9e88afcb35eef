package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/store"
)

// queuesView is the page of the queues.
type queuesView struct {
	Suspended bool
	Queues    []queueRow
}

// queueRow is a queue with what is in it.
type queueRow struct {
	Name    string
	Paused  bool
	Counts  []queueCount
	Total   int
	Queued  int
	Oldest  moment
	Late    bool
	In, Out string // per minute, of the last hour
	Empties string // when it is empty at this pace
	Workers []string
}

// queueCount is how many jobs of a queue are in a state.
type queueCount struct {
	State stateView
	N     int
	Share int // of the longest bar, in percent
	URL   string
}

func queueURL(name string) string { return "/queues/" + url.PathEscape(name) }

// shownStatuses are the states that queues are counted by.
func shownStatuses() []distro.Status {
	return []distro.Status{
		distro.StatusQueued, distro.StatusStarted, distro.StatusScheduled, distro.StatusDeferred,
		distro.StatusFinished, distro.StatusFailed, distro.StatusStopped, distro.StatusCanceled,
	}
}

func (s *Server) queues(r *request) error {
	counts, err := s.opts.Service.Queues(r.Context())
	if err != nil {
		return err
	}
	workers, err := s.opts.Service.Workers(r.Context())
	if err != nil {
		return err
	}
	view := queuesView{Suspended: counts.Suspended}
	pace, err := s.pace(r)
	if err != nil {
		return err
	}
	for i := range counts.Queues {
		view.Queues = append(view.Queues, r.viewQueue(&counts.Queues[i], workers, pace))
	}
	return s.show(r, http.StatusOK, "queues", "nav.queues", view, live("overview"))
}

// pace is how many executions of each queue ended in the last hour.
func (s *Server) pace(r *request) (map[string]int, error) {
	if !s.full() {
		return nil, nil
	}
	lines, err := s.opts.Service.Series(r.Context(), store.SeriesQuery{By: store.ByQueue, From: r.now.Add(-time.Hour), To: r.now})
	ended := map[string]int{}
	for _, line := range lines {
		for _, p := range line.Points {
			for _, n := range p.Ended {
				ended[line.Name] += n
			}
		}
	}
	return ended, err
}

func (r *reader) viewQueue(q *distro.QueueInfo, workers []distro.Worker, pace map[string]int) queueRow {
	row := queueRow{
		Name: q.Name, Paused: q.Paused, Queued: q.Jobs[distro.StatusQueued], Oldest: r.moment(q.OldestAt),
		Late: !q.OldestAt.IsZero() && r.now.Sub(q.OldestAt) > queueLate, Out: "—", Empties: "—",
	}
	most := 1
	for _, status := range shownStatuses() {
		row.Total += q.Jobs[status]
		most = max(most, q.Jobs[status])
	}
	for _, status := range shownStatuses() {
		n := q.Jobs[status]
		text := r.withQueue(r.withState("", string(status)), q.Name)
		row.Counts = append(row.Counts, queueCount{viewState(string(status)), n, (100*n + most - 1) / most, query("/jobs", "q", text)})
	}
	for i := range workers {
		if slices.Contains(workers[i].Queues, q.Name) {
			row.Workers = append(row.Workers, workers[i].Name)
		}
	}
	if pace != nil {
		perMinute := float64(pace[q.Name]) / 60
		row.Out = r.T("queue.perminute", r.fraction(perMinute, 1))
		if row.Queued > 0 && perMinute > 0 {
			row.Empties = "≈ " + r.rough(time.Duration(float64(row.Queued)/perMinute*float64(time.Minute)))
		}
	}
	return row
}

// queueView is the page of a queue.
type queueView struct {
	Row        queueRow
	Charts     []*chart
	Rows       []jobRow
	ListURL    string
	Ignoring   []string // workers that do not know of a pause
	EmptySheet bool
}

func (s *Server) queue(r *request) error {
	name := r.PathValue("queue")
	q, err := s.opts.Service.Queue(r.Context(), name)
	if err != nil {
		return err
	}
	workers, err := s.opts.Service.Workers(r.Context())
	if err != nil {
		return err
	}
	pace, err := s.pace(r)
	if err != nil {
		return err
	}
	view := queueView{Row: r.viewQueue(&q, workers, pace), ListURL: query("/jobs", "q", r.withQueue(r.withState("", "queued"), name))}
	if q.Paused {
		for i := range workers {
			if workers[i].Stock && slices.Contains(workers[i].Queues, name) {
				view.Ignoring = append(view.Ignoring, workers[i].Name)
			}
		}
	}
	if view.Rows, err = s.frontOf(r, name, 10); err != nil {
		return err
	}
	if s.full() {
		from, step := r.now.Add(-24*time.Hour), 30*time.Minute
		lines, err := s.opts.Service.Series(r.Context(), store.SeriesQuery{By: store.ByQueue, Names: []string{name}, From: from, To: r.now, Step: step})
		if err != nil {
			return err
		}
		view.Charts = []*chart{
			r.throughput(lines, from, r.now, step),
			r.durations(r.T("chart.waited"), lines, from, r.now, step, func(p store.Point) store.Quantiles { return p.Waited }),
		}
	}
	return s.show(r, http.StatusOK, "queue", name, view, live("overview", "queue:"+url.PathEscape(name)))
}

// actOnQueue does what a button asks for.
func (s *Server) actOnQueue(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	name := r.PathValue("queue")
	switch action := r.PathValue("action"); action {
	case "pause", "resume":
		if _, err := s.opts.Service.SetPaused(r.Context(), name, action == "pause"); err != nil {
			return err
		}
		return r.seeOther(queueURL(name))
	case "empty":
		if r.PostForm.Get("name") != name {
			return distro.Invalid("name", "does not say %q: nothing was deleted", name)
		}
		return s.startOperation(r, broker.ActionDelete, service.Selection{Queue: name, Status: distro.StatusQueued})
	default:
		return distro.Errorf(distro.CodeNotFound, "there is no action %.40q", action)
	}
}
