package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/form"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// runForm is the form that runs a function.
type runForm struct {
	form.View

	Refused *form.Problem // about no field
	ID      string
	From    string // the job whose arguments stand in the form
	Lost    bool   // they are not known
	Partly  bool   // some of them have no place here
	Ran     string // the job that the form made last
	Presets *presetsView
}

// prefillNotice says where what stands in a form comes from, and what is to be
// asked for it.
type prefillNotice struct {
	from         string
	lost, partly bool

	asks  string // the parameter whose options a button asks for; empty: none does
	again bool   // it asks for new ones

	preset presetOf
}

// optionID is the control that has the ID of the job that a form makes.
const optionID = "opt.id"

// prefill enters a preset, or the arguments of an earlier job, and what the address
// says.
func (s *Server) prefill(r *request, t *target, a *form.Answers) (prefillNotice, error) {
	notice := prefillNotice{from: r.query("from")}
	var named bool
	if notice.preset, named = s.fill(r, t, a); named {
		notice.from = ""
	}
	if notice.from != "" {
		k, err := s.look(r, notice.from)
		if err != nil && distro.ErrorCode(err) != distro.CodeNotFound {
			return notice, err
		}
		call := callOf(&k, t)
		notice.lost = err != nil || call.Args == nil
		if !notice.lost {
			notice.partly = !a.Enter(call.Args, call.Kwargs) || call.Partly
			if !call.Typed {
				a.Set(form.OptionPlain, "true")
			}
			if k.kept && slices.Contains(s.opts.Service.QueueNames(), k.job.Queue) {
				a.Set(form.OptionQueue, k.job.Queue)
			}
		}
	}
	a.Ask(r.URL.Query())
	return notice, nil
}

// callOf are the arguments of a job as far as they are known.
func callOf(k *known, t *target) service.Recalled {
	if k.kept {
		return service.Recall(t.module, t.function, k.job.Payload)
	}
	if last := k.last(); last != nil {
		return service.RecallText(t.module, t.function, last.Arguments)
	}
	return service.Recalled{}
}

// runAutomation does what a button of the form asks for: makes the job, or shows
// the form again.
func (s *Server) runAutomation(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	t, err := s.target(r)
	if err != nil {
		return err
	}
	view := r.viewAutomation(&t, "run")
	if view.Refused != "" {
		return s.showAutomation(r, http.StatusConflict, &t, &view)
	}
	fm, err := s.formOf(&t)
	if err != nil {
		return err
	}
	a, err := s.receive(r, fm)
	if err != nil {
		return err
	}
	if again, err := s.again(r, &t, a); err != nil {
		return err
	} else if again != nil {
		a.Hold()
		view.Form = s.viewRun(r, &t, fm, a, again.notice)
		return s.showAutomation(r, again.status, &t, &view)
	}
	job, refused, err := s.enqueue(r, &t, a)
	if err != nil {
		return err
	}
	if refused != nil || !a.Valid() {
		a.Hold()
		view.Form = s.viewRun(r, &t, fm, a, prefillNotice{})
		view.Form.Refused = refused
		return s.showAutomation(r, http.StatusUnprocessableEntity, &t, &view)
	}
	if a.Get("do") == "run" {
		return r.seeOther(query(t.url(), "from", job.ID, "ran", job.ID))
	}
	return r.seeOther("/jobs/" + url.PathEscape(job.ID))
}

// shownAgain is a form that comes back without anything being run.
type shownAgain struct {
	status int
	notice prefillNotice
}

// again does what a button asks for that runs nothing: gives the form another
// shape, asks for options, saves a preset. nil: the button is none of these.
func (s *Server) again(r *request, t *target, a *form.Answers) (*shownAgain, error) {
	parameter, anew := a.WantsSuggestions()
	switch {
	case a.Reshapes():
		a.Reshape()
		return &shownAgain{status: http.StatusOK}, s.refer(r, a)
	case parameter != "":
		return &shownAgain{http.StatusOK, prefillNotice{asks: parameter, again: anew}}, nil
	case keeps(a) && s.opts.Service.HasPresets():
		preset, status := s.savePreset(r, t, a)
		return &shownAgain{status, prefillNotice{preset: preset}}, nil
	}
	return nil, nil
}

// sameFor is how long a form that is sent again makes the same job: the button
// was pressed twice.
const sameFor = 10 * time.Second

// enqueue makes the job that a form asks for. What is wrong with it is noted at
// its field, or returned where it is about none; then there is no job.
func (s *Server) enqueue(r *request, t *target, a *form.Answers) (distro.Job, *form.Problem, error) {
	req := service.Request{Module: t.module.Name, Function: t.function.Name, Trigger: distro.TriggerAPI, Caller: r.caller()}
	req.Args, req.Kwargs = a.Arguments()
	o := a.JobOptions()
	req.Queue, req.At, req.Delay, req.Timeout, req.Retries, req.Typed = o.Queue, o.At, o.Delay, o.Timeout, o.Retries, !o.Plain
	if !a.Valid() {
		return distro.Job{}, nil, nil
	}
	if req.Delay > 0 || !req.At.IsZero() {
		req.Trigger = distro.TriggerSchedule
	}
	if req.ID = a.Get(optionID); !distro.ValidID(req.ID) {
		req.ID = distro.NewID()
	}
	before, err := s.opts.Service.Get(r.Context(), req.ID)
	if err == nil && !r.lately(before.CreatedAt, sameFor) {
		req.ID = distro.NewID() // a page that was kept open makes another job
	}
	job, err := s.opts.Service.Enqueue(r.Context(), req)
	if distro.ErrorCode(err) == distro.CodeConflict {
		req.ID = distro.NewID() // as does one that was changed
		job, err = s.opts.Service.Enqueue(r.Context(), req)
	}
	e, ok := errors.AsType[*distro.Error](err)
	if !ok || e.Code != distro.CodeInvalid {
		return job, nil, err
	}
	if !a.RefuseArgument(e.Field, e.Message) {
		return job, &form.Problem{Name: e.Field, Text: e.Message, English: true}, nil
	}
	return job, nil, nil
}

// viewRun is the form with what stands in it.
func (s *Server) viewRun(r *request, t *target, fm *form.Form, a *form.Answers, notice prefillNotice) *runForm {
	var elsewhere []string
	if fm.Takes(signature.FormatPath) {
		elsewhere = s.elsewhere(r)
	}
	s.suggest(r, t, fm, a)
	if notice.asks != "" {
		s.ask(r, t, a, notice.asks, notice.again)
	}
	v := &runForm{View: a.View(elsewhere), From: notice.from, Lost: notice.lost, Partly: notice.partly, ID: a.Get(optionID)}
	v.Presets = s.viewPresets(r, t, a, notice.preset)
	if v.ID == "" {
		v.ID = distro.NewID()
	}
	if ran := r.query("ran"); ran != "" && ran == notice.from {
		v.Ran, v.From, v.Lost = ran, "", false
	}
	return v
}

// lately is a moment that passed no longer ago than d.
func (r *reader) lately(t time.Time, d time.Duration) bool { return !t.IsZero() && r.now.Sub(t) < d }
