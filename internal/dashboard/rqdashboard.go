package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/service"
)

// rqDashboard answers at the addresses of RQ Dashboard: its JSON with the same
// fields, its actions, and its pages by leading to ours. There is one Redis, or
// embedded queue, and its number is 0. Nothing is unpickled, and nothing that
// stands in the queue makes it fail.
type rqDashboard struct {
	service *service.Service
	logger  *slog.Logger
}

// Bounds of a page of jobs.
const (
	rqMaxPerPage = broker.MaxPage
	rqMaxPage    = 1 << 30
)

// instances are the numbers whose addresses are known: those of another Redis
// are refused, so that nothing meant for it is done to this one.
const instances = 10

// register adds the routes to a mux.
func (d *rqDashboard) register(mux *http.ServeMux) {
	for n := range instances {
		mux.HandleFunc("/"+strconv.Itoa(n)+"/", d.numbered)
	}
	mux.HandleFunc("/job/{id}/delete", d.action(d.deleteJob))
	mux.HandleFunc("/job/{id}/requeue", d.action(d.requeueJob))
	mux.HandleFunc("/requeue/{queue}", d.action(d.requeueAll))
	mux.HandleFunc("/queue/{queue}/{registry}/empty", d.action(d.emptyList))
	mux.HandleFunc("/queue/{queue}/compact", d.action(d.compact))
}

// rqProblem is an answer of RFC 9457.
type rqProblem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
}

// refuse answers with what went wrong. A request that does not fit is 400, as its
// parts stand in the address.
func (d *rqDashboard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody reads it
	}
	e, ok := errors.AsType[*distro.Error](err)
	if !ok || e.Code == distro.CodeInternal {
		d.logger.ErrorContext(r.Context(), "request of RQ Dashboard's kind ended with an internal error", "path", r.URL.Path, "error", err)
		e = distro.Errorf(distro.CodeInternal, "internal error; the log of the server says more")
	}
	status := e.Code.HTTPStatus()
	if e.Code == distro.CodeInvalid {
		status = http.StatusBadRequest
	}
	d.problem(w, status, string(e.Code), e.Field, e.Message)
}

func (d *rqDashboard) problem(w http.ResponseWriter, status int, code, field, detail string) {
	if field != "" {
		detail = field + ": " + detail
	}
	d.write(w, "application/problem+json", status, rqProblem{
		Title: http.StatusText(status), Status: status, Detail: strings.ToValidUTF8(detail, "\uFFFD"), Code: code, Field: field,
	})
}

func (d *rqDashboard) write(w http.ResponseWriter, kind string, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		// Raw texts of JSON are checked where they are made.
		panic(fmt.Errorf("encode answer: %w", err))
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may have gone
}

// only refuses other methods.
func (d *rqDashboard) only(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	allowed := strings.Join(methods, ", ")
	w.Header().Set("Allow", allowed)
	d.problem(w, http.StatusMethodNotAllowed, "method_not_allowed", "", fmt.Sprintf("%.20s is not possible here; %s is", r.Method, allowed))
	return false
}

// numbered answers below the number of an instance.
func (d *rqDashboard) numbered(w http.ResponseWriter, r *http.Request) {
	if !d.only(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	parts, err := segments(r.URL)
	if err == nil && parts[0] != "0" {
		err = distro.Errorf(distro.CodeNotFound, "there is no instance %s: there is one queue here, and its number is 0", parts[0])
	}
	var body any
	if err == nil {
		switch parts = parts[1:]; {
		case parts[0] == "data":
			body, err = d.data(r.Context(), parts[1:])
		case parts[0] == "view", parts[0] == "" && len(parts) == 1:
			var target string
			if target, err = newAddress(parts[1:]); err == nil {
				w.Header().Set("Cache-Control", "no-store")
				http.Redirect(w, r, target, http.StatusPermanentRedirect)
				return
			}
		default:
			err = errNothingHere()
		}
	}
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	d.write(w, "application/json", http.StatusOK, body)
}

func errNothingHere() error {
	return distro.Errorf(distro.CodeNotFound, "there is nothing at this address")
}

// segments are the parts of a path; an escaped slash ends none.
func segments(u *url.URL) ([]string, error) {
	parts := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return nil, distro.Errorf(distro.CodeInvalid, "the address cannot be read")
		}
	}
	return parts, nil
}

// data answers with the JSON at the end of a path.
func (d *rqDashboard) data(ctx context.Context, parts []string) (any, error) {
	if len(parts) == 0 {
		return nil, errNothingHere()
	}
	last, isJSON := strings.CutSuffix(parts[len(parts)-1], ".json")
	if !isJSON {
		return nil, errNothingHere()
	}
	switch {
	case len(parts) == 1 && last == "queues":
		return d.queues(ctx)
	case len(parts) == 1 && last == "workers":
		return d.workers(ctx)
	case len(parts) == 2 && parts[0] == "job":
		return d.job(ctx, last)
	case len(parts) == 6 && parts[0] == "jobs":
		p, err := parsePage(parts[1], parts[2], parts[3], parts[4], last)
		if err != nil {
			return nil, err
		}
		return d.jobs(ctx, p)
	}
	return nil, errNothingHere()
}

// newAddress is the page that shows what a page of RQ Dashboard showed. The part
// behind "view" names it.
func newAddress(parts []string) (string, error) {
	const instance = "0"
	switch {
	case len(parts) == 0, len(parts) == 1 && (parts[0] == "queues" || parts[0] == ""):
		return query("/queues", "instance", instance), nil
	case len(parts) == 1 && parts[0] == "workers":
		return query("/workers", "instance", instance), nil
	case len(parts) == 1 && parts[0] == "jobs":
		parts = []string{"jobs", "default", "queued", "8", "asc", "1"}
	case len(parts) == 2 && parts[0] == "job" && parts[1] != "":
		return query("/jobs/"+url.PathEscape(parts[1]), "instance", instance), nil
	}
	if len(parts) != 6 || parts[0] != "jobs" {
		return "", errNothingHere()
	}
	p, err := parsePage(parts[1], parts[2], parts[3], parts[4], parts[5])
	if err != nil {
		return "", err
	}
	filter := search.And{search.Name{Field: search.FieldQueue, Pattern: p.queue}, search.State{Value: string(p.registry)}}
	return query("/jobs", "instance", instance, "q", filter.String(), "limit", strconv.Itoa(p.perPage), "order", p.order,
		"page", strconv.Itoa(p.page)), nil
}

// rqPage is a page of a list, as the addresses name it.
type rqPage struct {
	queue    string
	registry distro.Status
	perPage  int
	order    string // asc or dsc
	page     int
}

func parsePage(queue, registry, perPage, order, page string) (rqPage, error) {
	p := rqPage{queue: queue, order: order}
	var err error
	if p.registry, err = parseRegistry(registry); err != nil {
		return p, err
	}
	var notNumber, neither error
	p.perPage, notNumber = strconv.Atoi(perPage)
	p.page, neither = strconv.Atoi(page)
	switch {
	case queue == "":
		return p, distro.Invalid("queue", "must not be empty")
	case notNumber != nil || p.perPage < 1 || p.perPage > rqMaxPerPage:
		return p, distro.Invalid("per_page", "must be 1 to %d", rqMaxPerPage)
	case neither != nil || p.page < 1 || p.page > rqMaxPage:
		return p, distro.Invalid("page", "must be 1 to %d", rqMaxPage)
	case order != "asc" && order != "dsc":
		return p, distro.Invalid("order", "must be asc or dsc")
	}
	return p, nil
}

// registries are the lists of RQ, in the order in which people know them.
func registries() []distro.Status {
	return []distro.Status{
		distro.StatusQueued, distro.StatusScheduled, distro.StatusDeferred, distro.StatusStarted,
		distro.StatusFinished, distro.StatusFailed, distro.StatusCanceled,
	}
}

func parseRegistry(name string) (distro.Status, error) {
	if status := distro.Status(name); slices.Contains(registries(), status) {
		return status, nil
	}
	return "", distro.Invalid("registry", "%.40q is none; there are queued, scheduled, deferred, started, finished, failed and canceled", name)
}

// rqStatus answers an action.
type rqStatus struct {
	Status    string `json:"status"` // OK, ERROR or DISABLED
	Count     *int   `json:"count,omitempty"`
	Operation string `json:"operation,omitempty"` // that goes on in the background
}

// action is the handler of an action, which a POST only carries out, and only on
// this instance.
func (d *rqDashboard) action(do func(*http.Request) (rqStatus, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !d.only(w, r, http.MethodPost) {
			return
		}
		if n := r.URL.Query().Get("instance"); n != "" && n != "0" {
			d.refuse(w, r, distro.Errorf(distro.CodeNotFound, "there is no instance %.20q: there is one queue here, and its number is 0", n))
			return
		}
		answer, err := do(r)
		if err != nil {
			d.refuse(w, r, err)
			return
		}
		d.write(w, "application/json", http.StatusOK, answer)
	}
}

func (d *rqDashboard) deleteJob(r *http.Request) (rqStatus, error) {
	if d.service.DeleteDisabled() {
		return rqStatus{Status: "DISABLED"}, nil
	}
	err := d.service.Delete(r.Context(), r.PathValue("id"))
	if distro.ErrorCode(err) == distro.CodeNotFound {
		return rqStatus{Status: "ERROR"}, nil
	}
	return rqStatus{Status: "OK"}, err
}

func (d *rqDashboard) requeueJob(r *http.Request) (rqStatus, error) {
	_, err := d.service.Act(r.Context(), broker.ActionRequeue, r.PathValue("id"))
	return rqStatus{Status: "OK"}, err
}

// rqCaller is who acts by these addresses, for people.
const rqCaller = "rq-dashboard"

func (d *rqDashboard) requeueAll(r *http.Request) (rqStatus, error) {
	return d.onList(r, broker.ActionRequeue, distro.StatusFailed)
}

func (d *rqDashboard) emptyList(r *http.Request) (rqStatus, error) {
	registry, err := parseRegistry(r.PathValue("registry"))
	if err != nil {
		return rqStatus{}, err
	}
	if d.service.DeleteDisabled() {
		return rqStatus{Status: "DISABLED"}, nil
	}
	return d.onList(r, broker.ActionDelete, registry)
}

func (d *rqDashboard) onList(r *http.Request, action broker.Action, list distro.Status) (rqStatus, error) {
	did, err := d.service.ActOnList(r.Context(), action, r.PathValue("queue"), list, rqCaller)
	return rqStatus{Status: "OK", Count: &did.Count, Operation: did.Operation}, err
}

func (d *rqDashboard) compact(r *http.Request) (rqStatus, error) {
	_, err := d.service.Compact(r.Context(), r.PathValue("queue"), distro.StatusQueued)
	return rqStatus{Status: "OK"}, err
}
