package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/docstring"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/signature"
	"github.com/distro-orchestrator/distro/internal/store"
)

const (
	functionsOnPage = 50
	shownRuns       = 20 // in the strip of a function
	ratesFor        = 7 * 24 * time.Hour
)

// automationsView is the page of what can be run.
type automationsView struct {
	Query     string
	Folders   []folderView
	Modules   int
	Functions int
	Broken    int
	First     string
	Next      string
	Folder    string // where the files are
}

// folderView is a folder of modules_path.
type folderView struct {
	Name    string // dotted; empty: modules_path itself
	Modules []moduleView
}

// moduleView is a file.
type moduleView struct {
	Name      string
	File      string // behind its folder
	Path      string
	Doc       string
	Error     *distro.SyntaxError
	Shadows   bool
	Functions []functionRow
	Empty     bool // it has no functions
}

// functionRow is a function with how it went lately.
type functionRow struct {
	Module string
	Name   string
	Doc    string
	URL    string

	OptionsOf string // the parameter of other functions for which it offers values

	Strip   strip
	Median  string
	Slow    string // p95
	Rate    string // of those that finished
	Bad     bool
	Ended   int
	Last    jobRow
	HasLast bool
}

func automationURL(module, function string) string {
	return "/automations/" + url.PathEscape(module) + "/" + url.PathEscape(function)
}

// automations lists the modules and their functions.
func (s *Server) automations(r *request) error {
	if !s.full() {
		return distro.Errorf(distro.CodeNotFound, "there are no automations here")
	}
	modules, err := s.opts.Service.Automations(r.Context())
	if err != nil {
		return err
	}
	view := automationsView{Query: strings.TrimSpace(r.query("q")), Folder: s.opts.About.Modules}
	page, _ := strconv.Atoi(r.query("page")) // else the first
	page = max(page, 1)
	sel := selector{words: strings.Fields(search.Fold(view.Query)), from: (page - 1) * functionsOnPage}
	for i := range modules {
		view.Modules++
		view.Functions += len(modules[i].Functions)
		if modules[i].Error != nil {
			view.Broken++
		}
		view.add(sel.module(&modules[i]))
	}
	if page > 1 {
		view.First = query("/automations", "q", view.Query)
	}
	if sel.seen > sel.from+functionsOnPage {
		view.Next = query("/automations", "q", view.Query, "page", strconv.Itoa(page+1))
	}
	if err := s.fillRuns(r, &view); err != nil {
		return err
	}
	return s.show(r, http.StatusOK, "automations", "nav.automations", view)
}

// add puts a module into its folder: modules come sorted.
func (v *automationsView) add(m *moduleView) {
	if m == nil {
		return
	}
	folder, file := parted(m.Name)
	m.File = file + ".py"
	if last := len(v.Folders) - 1; last >= 0 && v.Folders[last].Name == folder {
		v.Folders[last].Modules = append(v.Folders[last].Modules, *m)
		return
	}
	for i := range v.Folders {
		if v.Folders[i].Name == folder {
			v.Folders[i].Modules = append(v.Folders[i].Modules, *m)
			return
		}
	}
	v.Folders = append(v.Folders, folderView{folder, []moduleView{*m}})
}

// selector chooses what a page of the list shows. What counts is a function, or
// a module without any.
type selector struct {
	words []string
	from  int
	seen  int
}

func (s *selector) matches(text string) bool {
	text = search.Fold(text)
	for _, word := range s.words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// take counts one, and reports whether it is on the page.
func (s *selector) take() bool {
	s.seen++
	return s.seen > s.from && s.seen <= s.from+functionsOnPage
}

// module is what the page shows of a module; nil: nothing.
func (s *selector) module(m *distro.Module) *moduleView {
	view := &moduleView{
		Name: m.Name, Path: strings.ReplaceAll(m.Name, ".", "/") + ".py", Doc: firstLine(m.Doc), Error: m.Error, Shadows: m.Shadows,
		Empty: m.Error == nil && len(m.Functions) == 0,
	}
	if len(m.Functions) == 0 {
		if !s.matches(m.Name+" "+view.Doc) || !s.take() {
			return nil
		}
		return view
	}
	for i := range m.Functions {
		f := &m.Functions[i]
		doc := firstLine(f.Doc)
		if s.matches(m.Name+"."+f.Name+" "+doc+" "+view.Doc) && s.take() {
			view.Functions = append(view.Functions, functionRow{Module: m.Name, Name: f.Name, Doc: doc, URL: automationURL(m.Name, f.Name), OptionsOf: m.OptionsOf(f.Name)})
		}
	}
	if len(view.Functions) == 0 {
		return nil
	}
	return view
}

// firstLine is the summary of a docstring, as text.
func firstLine(doc string) string {
	return cut(docstring.Plain(signature.ReadDocstring(doc).Summary), shownError)
}

// fillRuns adds how the functions on the page went: one question for all rates,
// and one for each of the strips.
func (s *Server) fillRuns(r *request, view *automationsView) error {
	rows := map[string]*functionRow{}
	var names []string
	for i := range view.Folders {
		for j := range view.Folders[i].Modules {
			list := view.Folders[i].Modules[j].Functions
			for k := range list {
				name := list[k].Module + "." + list[k].Name
				names, rows[name] = append(names, name), &list[k]
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	lines, err := s.opts.Service.Series(r.Context(), store.SeriesQuery{By: store.ByFunction, Names: names, From: r.now.Add(-ratesFor), To: r.now})
	if err != nil {
		return err
	}
	for _, row := range rows {
		row.Median, row.Slow, row.Rate = "—", "—", "—"
	}
	for _, line := range lines {
		if row := rows[line.Name]; row != nil && len(line.Points) > 0 {
			r.fillRates(row, &line.Points[0])
		}
	}
	for _, name := range names {
		newest, err := s.opts.Service.Newest(r.Context(), name, shownRuns)
		if err != nil {
			return err
		}
		row := rows[name]
		row.Strip = r.bars(newest)
		if row.HasLast = len(newest) > 0; row.HasLast {
			row.Last = r.rowOfExecution(&newest[0].Execution)
		}
	}
	return nil
}

func (r *reader) fillRates(row *functionRow, p *store.Point) {
	finished := p.Ended[distro.ExecutionFinished]
	failed := p.Ended[distro.ExecutionFailed] + p.Ended[distro.ExecutionLost]
	row.Ended = finished + failed
	row.Median, row.Slow = r.lasted(p.Took.P50), r.lasted(p.Took.P95)
	row.Rate, row.Bad = r.percent(finished, row.Ended), failed > 0
}
