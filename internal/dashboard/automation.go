package dashboard

import (
	"net/http"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/signature"
	"github.com/distro-orchestrator/distro/internal/store"
)

// automationView is the page of a function.
type automationView struct {
	Module    string
	Name      string
	File      string
	Line      int
	Async     bool
	URL       string
	Summary   string
	Doc       string
	Tabs      []tab
	Tab       string
	Refused   string // key of why it cannot be called
	Error     *distro.SyntaxError
	Changed   bool   // its decorators may change what it takes
	OptionsOf string // the parameter of other functions for which it offers values
	Form      *runForm
	History   []jobRow
	More      string // the same list among all jobs
	Next      string
	First     string
	Partial   bool // looking took too long: the next page goes on
	Windows   []windowChoice
	Charts    []*chart
	Rate      string // of failures
	Source    []sourceLine
	Cut       bool
	Commit    string
	Hash      string
	Decorate  []string
}

// sourceLine is a line of a module.
type sourceLine struct {
	Number int
	Text   string
	Here   bool // the function begins there
}

// target is a function of the catalog.
type target struct {
	module   distro.Module
	function distro.Function
}

// target finds the function that the address names. Of a module that cannot be
// read any name is one: its page says why.
func (s *Server) target(r *request) (target, error) {
	if !s.full() {
		return target{}, distro.Errorf(distro.CodeNotFound, "there are no automations here")
	}
	m, err := s.opts.Service.Automation(r.Context(), r.PathValue("module"))
	if err != nil {
		return target{}, err
	}
	name := r.PathValue("function")
	i := slices.IndexFunc(m.Functions, func(f distro.Function) bool { return f.Name == name })
	switch {
	case i >= 0:
		return target{m, m.Functions[i]}, nil
	case m.Error != nil:
		return target{m, distro.Function{Name: name}}, nil
	}
	return target{}, distro.Errorf(distro.CodeNotFound, "module %q has no function %.100q", m.Name, name)
}

func (t *target) full() string { return t.module.Name + "." + t.function.Name }

func (t *target) url() string { return automationURL(t.module.Name, t.function.Name) }

// refused is why the function cannot be called, as a key of texts.
func (t *target) refused() string {
	switch {
	case t.module.Error != nil:
		return "automation.refused.syntax"
	case t.module.Shadows:
		return "automation.refused.shadows"
	}
	return ""
}

// automation shows a function.
func (s *Server) automation(r *request) error {
	t, err := s.target(r)
	if err != nil {
		return err
	}
	view := r.viewAutomation(&t, r.query("tab"))
	if view.Tab == "run" && view.Refused == "" {
		fm, err := s.formOf(&t)
		if err != nil {
			return err
		}
		a := fm.Blank(r.URL.Query(), r.form())
		notice, err := s.prefill(r, &t, a)
		if err != nil {
			return err
		}
		view.Form = s.viewRun(r, &t, fm, a, notice)
	}
	return s.showAutomation(r, http.StatusOK, &t, &view)
}

// showAutomation fills in what the chosen view shows, and answers.
func (s *Server) showAutomation(r *request, status int, t *target, view *automationView) error {
	var err error
	switch view.Tab {
	case "history":
		err = s.fillHistory(r, view, t)
	case "charts":
		err = s.fillCharts(r, view, t)
	case "source":
		err = s.fillSource(r, view, t)
	}
	if err != nil {
		return err
	}
	return s.show(r, status, "automation", t.full(), view)
}

// viewAutomation is the head of the page.
func (r *reader) viewAutomation(t *target, chosen string) automationView {
	view := automationView{
		Module: t.module.Name, Name: t.function.Name, File: strings.ReplaceAll(t.module.Name, ".", "/") + ".py", Line: t.function.Line,
		Async: t.function.Async, URL: t.url(), Refused: t.refused(), Error: t.module.Error, Tab: "run",
		Changed: !t.function.Binding(), Decorate: t.function.Decorators,
		OptionsOf: t.module.OptionsOf(t.function.Name),
	}
	doc := signature.ReadDocstring(t.function.Doc)
	view.Summary, view.Doc = doc.Summary, doc.Text
	for _, key := range []string{"run", "history", "charts", "source"} {
		if key == chosen {
			view.Tab = key
		}
	}
	for _, key := range []string{"run", "history", "charts", "source"} {
		address := query(view.URL, "tab", key)
		if key == "run" {
			address = view.URL
		}
		view.Tabs = append(view.Tabs, tab{Key: key, URL: address, On: key == view.Tab})
	}
	return view
}

// fillHistory lists what the function ran.
func (s *Server) fillHistory(r *request, view *automationView, t *target) error {
	text := search.Name{Field: search.FieldFunction, Pattern: t.full()}.String()
	found, err := s.opts.Service.Executions(r.Context(), text, r.query("after"), jobsOnPage)
	if err != nil {
		return err
	}
	for i := range found.Executions {
		view.History = append(view.History, r.rowOfExecution(&found.Executions[i].Execution))
	}
	view.More = query("/jobs", "q", r.T("search.function")+":"+quoted(t.full()))
	view.Partial = found.Partial
	if found.Next != "" {
		view.Next = query(view.URL, "tab", "history", "after", found.Next)
	}
	if r.query("after") != "" {
		view.First = query(view.URL, "tab", "history")
	}
	return nil
}

// dotRuns is how many runs the chart of durations shows.
const dotRuns = 500

// fillCharts draws how the function went.
func (s *Server) fillCharts(r *request, view *automationView, t *target) error {
	chosen := windows()[1]
	for _, w := range windows() {
		if r.query("window") == w.name {
			chosen = w
		}
	}
	for _, w := range windows() {
		view.Windows = append(view.Windows, windowChoice{r.T("home.window." + w.name), query(view.URL, "tab", "charts", "window", w.name), w == chosen})
	}
	from := r.now.Add(-chosen.length)
	lines, err := s.opts.Service.Series(r.Context(), store.SeriesQuery{
		By: store.ByFunction, Names: []string{t.full()}, From: from, To: r.now, Step: chosen.step,
	})
	if err != nil {
		return err
	}
	finished, failed := 0, 0
	for _, line := range lines {
		for _, p := range line.Points {
			finished += p.Ended[distro.ExecutionFinished]
			failed += p.Ended[distro.ExecutionFailed] + p.Ended[distro.ExecutionLost]
		}
	}
	view.Rate = r.T("automation.failure.rate", r.percent(failed, failed+finished), r.N("automation.ended", failed+finished))
	newest, err := s.opts.Service.Newest(r.Context(), t.full(), dotRuns)
	if err != nil {
		return err
	}
	view.Charts = []*chart{
		r.throughput(lines, from, r.now, chosen.step),
		r.durations(r.T("chart.took"), lines, from, r.now, chosen.step, func(p store.Point) store.Quantiles { return p.Took }),
		r.durations(r.T("chart.waited"), lines, from, r.now, chosen.step, func(p store.Point) store.Quantiles { return p.Waited }),
		r.dots(newest),
	}
	return nil
}

// dots shows how long each of some executions took, those that failed apart.
func (r *reader) dots(newest []store.Entry) *chart {
	c := &chart{
		Kind: "dots", Unit: "s", Caption: r.N("chart.dots", len(newest)),
		Series: []series{{"finished", r.T("state.finished")}, {"failed", r.T("state.failed")}}, Words: r.T("column.state"),
	}
	for i := len(newest) - 1; i >= 0; i-- {
		x := &newest[i].Execution
		if x.StartedAt.IsZero() || x.EndedAt.IsZero() {
			continue
		}
		state := viewState(string(x.State))
		cells := []cell{r.seconds(x.Took()), {"", "—"}}
		if state.Tone == "fail" {
			cells[0], cells[1] = cells[1], cells[0]
		}
		c.Points = append(c.Points, point{At: r.moment(x.StartedAt), Cells: cells, Word: r.T("state." + state.Code)})
	}
	return c
}

// fillSource shows the file of the module.
func (s *Server) fillSource(r *request, view *automationView, t *target) error {
	source, err := s.opts.Service.Source(r.Context(), t.module.Name)
	if err != nil {
		return err
	}
	view.Cut, view.Commit, view.Hash = source.Truncated, source.Commit, source.Hash[:min(12, len(source.Hash))]
	here := t.function.Line
	if t.module.Error != nil {
		here = t.module.Error.Line
	}
	number := 0
	for line := range strings.Lines(source.Text) {
		number++
		view.Source = append(view.Source, sourceLine{number, strings.TrimRight(line, "\r\n"), number == here})
	}
	return nil
}

// automationOf is the address of the page of a function that a job called, where
// the catalog has it; empty: it has not. A method of a class is looked for too.
func (s *Server) automationOf(r *request, k *known) string {
	if !s.full() {
		return ""
	}
	name := k.job.Function
	if last := k.last(); last != nil && last.Function != "" {
		name = strings.TrimPrefix(last.Module+"."+last.Function, ".")
	}
	for at, parts := len(name), 0; parts < 2; parts++ {
		if at = strings.LastIndexByte(name[:at], '.'); at < 0 {
			return ""
		}
		module, function := name[:at], name[at+1:]
		m, err := s.opts.Service.Automation(r.Context(), module)
		if err != nil {
			continue // there is none, or nobody can tell now
		}
		if slices.ContainsFunc(m.Functions, func(f distro.Function) bool { return f.Name == function }) {
			return automationURL(module, function)
		}
	}
	return ""
}
