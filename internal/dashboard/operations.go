package dashboard

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/store"
)

// sheetView says exactly what an action on many jobs would do, before it is done.
type sheetView struct {
	Action  string
	Query   string
	IDs     []string
	Total   int
	Exact   bool
	Sample  []jobRow
	Word    string // that has to be typed, for what cannot be undone; empty: none
	Refused string // why it cannot be done
	Back    string
}

// typedFrom is how many jobs a deletion needs to have a word typed for it.
const typedFrom = 100

// newOperation asks whether it is meant so.
func (s *Server) newOperation(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	view := sheetView{Action: r.PostForm.Get("action"), Query: strings.TrimSpace(r.PostForm.Get("q")), Back: query("/jobs", "q", r.PostForm.Get("q"))}
	sel, err := selectionOf(r, &view)
	if err != nil {
		return err
	}
	preview, err := s.opts.Service.PreviewOperation(r.Context(), broker.Action(view.Action), sel)
	if err != nil {
		return err
	}
	view.Total, view.Exact = preview.Total, preview.Exact
	for _, id := range preview.Sample {
		row, err := s.newestRow(r, id)
		if distro.ErrorCode(err) == distro.CodeNotFound {
			continue
		}
		if err != nil {
			return err
		}
		view.Sample = append(view.Sample, row)
	}
	if view.Action == string(broker.ActionDelete) && (view.Total > typedFrom || !view.Exact) {
		view.Word = r.T("sheet.word")
	}
	return s.show(r, http.StatusOK, "sheet", "sheet.title."+view.Action, view)
}

// selectionOf reads what a list's form selects: the marked jobs, or all that a
// search means.
func selectionOf(r *request, view *sheetView) (service.Selection, error) {
	if r.PostForm.Get("all") == "" {
		view.IDs = r.PostForm["ids"]
		if len(view.IDs) == 0 {
			return service.Selection{}, distro.Invalid("ids", "mark some jobs first")
		}
		return service.Selection{IDs: view.IDs}, nil
	}
	expr, err := search.Parse(view.Query, search.Options{Now: r.now, Zone: r.zone})
	if err != nil {
		return service.Selection{}, distro.Invalid("q", "%v", err)
	}
	return selectAll(expr, view.Query)
}

// selectAll is the selection of a search. What waits is selected in the queue,
// which knows states and queues only; what ran is found in history.
func selectAll(expr search.Expr, text string) (service.Selection, error) {
	state := stateIn(expr)
	if !waits(state) {
		return service.Selection{Query: text}, nil
	}
	sel := service.Selection{Status: distro.Status(state)}
	for _, part := range conjuncts(expr) {
		name, isName := part.(search.Name)
		_, isState := part.(search.State)
		switch {
		case isState:
		case isName && name.Field == search.FieldQueue && sel.Queue == "" && !strings.Contains(name.Pattern, "*"):
			sel.Queue = name.Pattern
		default:
			return sel, distro.Invalid("q", "jobs that wait can be selected all together by state and queue only: mark the ones you mean")
		}
	}
	return sel, nil
}

// createOperation does it.
func (s *Server) createOperation(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	view := sheetView{Action: r.PostForm.Get("action"), Query: strings.TrimSpace(r.PostForm.Get("q"))}
	sel, err := selectionOf(r, &view)
	if err != nil {
		return err
	}
	if view.Action == string(broker.ActionDelete) {
		preview, err := s.opts.Service.PreviewOperation(r.Context(), broker.ActionDelete, sel)
		if err != nil {
			return err
		}
		if (preview.Total > typedFrom || !preview.Exact) && !strings.EqualFold(strings.TrimSpace(r.PostForm.Get("word")), r.T("sheet.word")) {
			return distro.Invalid("word", "does not say %q: nothing was deleted", r.T("sheet.word"))
		}
	}
	return s.startOperation(r, broker.Action(view.Action), sel)
}

// startOperation begins an operation and goes to its page.
func (s *Server) startOperation(r *request, action broker.Action, sel service.Selection) error {
	o, err := s.opts.Service.StartOperation(r.Context(), "", action, sel, r.caller())
	if err != nil {
		return err
	}
	return r.seeOther("/operations/" + url.PathEscape(o.ID))
}

// caller is who asks, for people.
func (r *request) caller() string { return "dashboard" }

// operationView is the page of an operation.
type operationView struct {
	ID       string
	Action   string
	State    string
	Tone     string
	Going    bool
	Stopping bool
	Total    int
	Ended    int
	Done     int
	Skipped  int
	Failed   int
	Percent  int
	Rate     string
	Error    string
	What     string
	Started  moment
	Took     string
}

func (r *reader) viewOperation(o *service.Operation) operationView {
	v := operationView{
		ID: o.ID, Action: o.Action, State: string(o.State), Total: o.Total, Done: o.Done, Skipped: o.Skipped, Failed: o.Failed,
		Ended: o.Done + o.Skipped + o.Failed, Error: o.Sample, Started: r.moment(firstOf(o.StartedAt, o.CreatedAt)), Rate: "—", Took: "—",
		Going: o.State == store.OperationWaiting || o.State == store.OperationRunning, Stopping: o.CancelRequested,
	}
	v.Tone = map[store.OperationState]string{
		store.OperationRunning: "run", store.OperationDone: "done", store.OperationFailed: "fail",
	}[o.State]
	if v.Tone == "" {
		v.Tone = "rest"
	}
	if o.Total > 0 {
		v.Percent = 100 * min(v.Ended, o.Total) / o.Total
	}
	if !o.StartedAt.IsZero() {
		end := r.now
		if !o.EndedAt.IsZero() {
			end = o.EndedAt
		}
		took := end.Sub(o.StartedAt)
		v.Took = r.lasted(took)
		if took > 0 {
			v.Rate = r.T("operation.rate", r.number(int(float64(v.Ended)/took.Seconds())))
		}
	}
	switch sel := o.Selection; {
	case len(sel.IDs) > 0:
		v.What = r.N("operation.ids", len(sel.IDs))
	case sel.Query != "":
		v.What = sel.Query
	default:
		v.What = r.T("search.state."+string(sel.Status)) + " " + sel.Queue
	}
	return v
}

func (s *Server) operation(r *request) error {
	o, err := s.opts.Service.Operation(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.show(r, http.StatusOK, "operation", "operation.title", r.viewOperation(&o), live("operations"))
}

func (s *Server) cancelOperation(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	o, err := s.opts.Service.CancelOperation(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return r.seeOther("/operations/" + url.PathEscape(o.ID))
}
