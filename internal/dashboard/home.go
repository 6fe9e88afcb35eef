package dashboard

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/store"
)

// homeView answers three questions: is anything wrong, what runs, what comes
// next.
type homeView struct {
	Sentences []sentence
	Windows   []windowChoice
	Window    string
	Queued    int
	Running   int
	Slots     int
	Failed    int
	FailedURL string
	Finished  int
	Rate      string // of those that failed
	Wait      string // p95
	Chart     *chart
	Started   []jobRow
	Failing   []failingView
	Next      []jobRow
	Empty     bool // nothing has run, nothing waits
}

// sentence says what is wrong, or that nothing is.
type sentence struct {
	Tone string
	Text string
	URL  string // of the page where more is to be seen; empty: none
}

type windowChoice struct {
	Label, URL string
	On         bool
}

// failingView is a function that failed.
type failingView struct {
	Function string
	Failed   int
	Rate     string
	Error    string
	ID       string // of the newest job that failed
	Last     moment
	URL      string // of all that failed
	Query    string // that finds them
}

// windows are the times that can be looked at, with the length of a bar of the
// chart.
func windows() []struct {
	name   string
	length time.Duration
	step   time.Duration
} {
	return []struct {
		name   string
		length time.Duration
		step   time.Duration
	}{{"1h", time.Hour, time.Minute}, {"24h", 24 * time.Hour, 30 * time.Minute}, {"7d", 7 * 24 * time.Hour, 3 * time.Hour}}
}

// What is late enough to be told.
const (
	queueLate  = 10 * time.Minute // the oldest job of a queue
	silentFor  = time.Minute      // a worker
	shownAhead = 10
)

// home shows how things stand.
func (s *Server) home(r *request) error {
	chosen := windows()[1]
	view := homeView{}
	for _, w := range windows() {
		if r.query("window") == w.name {
			chosen = w
		}
	}
	for _, w := range windows() {
		view.Windows = append(view.Windows, windowChoice{r.T("home.window." + w.name), query("/", "window", w.name), w == chosen})
	}
	view.Window = r.T("home.window." + chosen.name)
	o, err := s.opts.Service.Overview(r.Context(), chosen.length)
	if err != nil {
		return err
	}
	workers, err := s.opts.Service.Workers(r.Context())
	if err != nil {
		return err
	}
	view.Sentences = r.sentences(&o, workers)
	view.Running, view.Slots = o.Running, o.Slots
	kept := 0 // failed jobs that the queue keeps
	for _, q := range o.Queues {
		view.Queued += q.Jobs[distro.StatusQueued]
		kept += q.Jobs[distro.StatusFailed]
	}
	view.Finished = o.Ended[distro.ExecutionFinished]
	view.Failed = o.Ended[distro.ExecutionFailed] + o.Ended[distro.ExecutionLost]
	view.Rate = r.percent(view.Failed, view.Failed+view.Finished)
	view.Wait = r.lasted(o.Waited.P95)
	since := r.T("search.when") + ":>" + chosen.name
	view.FailedURL = query("/jobs", "q", r.withState(since, "failed"))
	if !s.full() {
		view.Failed, view.FailedURL = kept, query("/jobs", "q", r.withState("", "failed"))
	}
	if view.Started, err = s.rowsOfJobs(r, o.Started[:min(len(o.Started), 12)]); err != nil {
		return err
	}
	for i := range o.Failing {
		view.Failing = append(view.Failing, r.viewFailing(&o.Failing[i], since))
	}
	if s.full() {
		series, err := s.opts.Service.Series(r.Context(), store.SeriesQuery{From: r.now.Add(-chosen.length), To: r.now, Step: chosen.step})
		if err != nil {
			return err
		}
		view.Chart = r.throughput(series, r.now.Add(-chosen.length), r.now, chosen.step)
	}
	if view.Next, err = s.upcoming(r, shownAhead); err != nil {
		return err
	}
	view.Empty = view.Queued+view.Running+view.Failed+view.Finished+len(view.Next) == 0
	return s.show(r, http.StatusOK, "home", "nav.home", view, live("overview", "jobs"), r.behind(o.Behind))
}

// behind says since when history lacks what happens.
func (r *reader) behind(t time.Time) option {
	return func(f *frame) {
		if !t.IsZero() {
			f.Behind = r.moment(t)
		}
	}
}

func (r *reader) viewFailing(f *service.Failing, since string) failingView {
	v := failingView{Function: f.Function, Failed: f.Failed, Rate: r.percent(f.Failed, f.Ended), ID: f.Last.JobID}
	v.Last = r.moment(firstOf(f.Last.EndedAt, f.Last.StartedAt))
	if f.Last.Failure != nil {
		v.Error = cut(errorLine(f.Last.Failure), shownError)
	}
	v.Query = r.withState(r.T("search.function")+":"+quoted(f.Function)+" "+since, "failed")
	v.URL = query("/jobs", "q", v.Query)
	return v
}

// sentences say what is wrong, the worst first; one alone says that nothing is.
func (r *reader) sentences(o *service.Overview, workers []distro.Worker) []sentence {
	var list []sentence
	if o.Suspended {
		list = append(list, sentence{"wait", r.T("home.suspended"), "/workers"})
	}
	served := map[string]bool{}
	silent := 0
	for _, w := range workers {
		if r.now.Sub(w.SeenAt) > silentFor {
			silent++
			continue
		}
		for _, q := range w.Queues {
			served[q] = true
		}
	}
	if len(workers) == silent {
		list = append(list, sentence{"wait", r.T("home.unmanned"), "/workers"})
	}
	if silent > 0 {
		list = append(list, sentence{"fail", r.N("home.silent", silent), "/workers"})
	}
	for i := range o.Queues {
		if said, ok := r.queueSentence(&o.Queues[i], served[o.Queues[i].Name]); ok {
			list = append(list, said)
		}
	}
	if n := o.Ended[distro.ExecutionFailed] + o.Ended[distro.ExecutionLost]; n > 0 {
		worst := ""
		if len(o.Failing) > 0 {
			worst = o.Failing[0].Function
		}
		text := r.N("home.failed", n)
		if worst != "" {
			text = r.N("home.failed.most", n, worst)
		}
		list = append(list, sentence{"fail", text, query("/jobs", "q", r.withState("", "failed"))})
	}
	slices.SortStableFunc(list, func(a, b sentence) int { return cmp.Compare(a.Tone, b.Tone) }) // fail before wait
	if len(list) == 0 {
		list = append(list, sentence{"done", r.T("home.fine"), ""})
	}
	return list
}

// queueSentence says what is wrong with a queue where jobs wait.
func (r *reader) queueSentence(q *distro.QueueInfo, served bool) (sentence, bool) {
	waiting := q.Jobs[distro.StatusQueued]
	switch {
	case waiting == 0:
		return sentence{}, false
	case q.Paused:
		return sentence{"wait", r.T("home.paused", q.Name, r.N("jobs.waiting", waiting)), queueURL(q.Name)}, true
	case !served:
		return sentence{"fail", r.T("home.unserved", q.Name, r.N("jobs.waiting", waiting)), queueURL(q.Name)}, true
	case !q.OldestAt.IsZero() && r.now.Sub(q.OldestAt) > queueLate:
		return sentence{"wait", r.T("home.late", q.Name, r.rough(r.now.Sub(q.OldestAt))), queueURL(q.Name)}, true
	}
	return sentence{}, false
}
