package dashboard

import (
	"errors"
	"net/http"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/form"
	"github.com/distro-orchestrator/distro/internal/service"
)

// The controls of the form that save a preset: its name, the name that stood there
// when the form was shown, and the name whose replacement the reader was asked for.
const (
	optionPreset      = "opt.preset"
	optionPresetWas   = "opt.preset.was"
	optionPresetAsked = "opt.preset.asked"
)

// presetsView is what the form of a function has to do with its presets.
type presetsView struct {
	List   []presetLink
	Chosen string // the preset that fills in the form; empty: none does
	Gone   string // the name of one that was asked for, and is not there
	Unfit  string // what of the chosen one does not fit the function any more
	Away   bool   // they cannot be read now

	Name     string // in the form
	Was      string // when the form was shown
	Saved    string // the name of one that was saved just now
	Omitted  string // what of it was not kept
	Replaces bool   // there is one of that name, and the reader is asked
	Refused  string // why it was not saved
	English  bool   // that is told in English
}

type presetLink struct {
	Name, URL string
	On        bool
}

// presetOf is what a request has to do with presets, before the form is shown.
type presetOf struct {
	chosen, gone, saved string
	omitted, unfit      []string
	replaces, english   bool
	away                bool // it cannot be read
	refused             string
}

// fill enters the preset that the address names, and reports whether it names one.
// One that cannot be read enters nothing.
func (s *Server) fill(r *request, t *target, a *form.Answers) (presetOf, bool) {
	name := r.query("preset")
	if name == "" || !s.opts.Service.HasPresets() {
		return presetOf{}, false
	}
	p, err := s.opts.Service.Preset(r.Context(), t.module.Name, t.function.Name, name)
	if distro.ErrorCode(err) == distro.CodeNotFound {
		return presetOf{gone: name}, true
	}
	if err != nil {
		s.opts.Logger.WarnContext(r.Context(), "preset could not be read", "function", t.full(), "preset", name, "error", err)
		return presetOf{away: true}, true
	}
	fits, unfit := s.opts.Service.Fitting(t.module, t.function, p)
	if p.Queue != fits.Queue {
		unfit[len(unfit)-1] = r.T("form.opt.queue")
	}
	if !a.Enter(fits.Args, fits.Kwargs) {
		unfit = append(unfit, "…")
	}
	a.EnterOptions(form.JobOptions{Queue: fits.Queue, Delay: fits.Delay, Timeout: fits.Timeout, Retries: fits.Retries, Plain: !fits.Typed})
	if fits.Timeout == distro.Forever {
		unfit = append(unfit, r.T("form.opt.timeout"))
	}
	return presetOf{chosen: p.Name, unfit: unfit}, true
}

// keeps reports whether a button saves a preset: its own, or Enter, where the name
// of a preset was typed. That key runs a function otherwise, which nobody means who
// presses it behind a name.
func keeps(a *form.Answers) bool {
	switch a.Get("do") {
	case "save-preset", "replace-preset":
		return true
	case "enter":
		name := strings.TrimSpace(a.Get(optionPreset))
		return name != "" && name != a.Get(optionPresetWas)
	}
	return false
}

// savePreset keeps what stands in a form. Nothing that goes wrong loses what was
// entered: the form comes back, and says so.
func (s *Server) savePreset(r *request, t *target, a *form.Answers) (presetOf, int) {
	args, kwargs, omitted := a.Keep()
	o := a.JobOptions()
	if !o.At.IsZero() {
		omitted = append(omitted, r.T("form.opt.at"))
	}
	if !a.Valid() {
		return presetOf{}, http.StatusUnprocessableEntity
	}
	p := service.Preset{
		Name: strings.TrimSpace(a.Get(optionPreset)), Args: args, Kwargs: kwargs, Typed: !o.Plain, Queue: o.Queue, Delay: o.Delay, Timeout: o.Timeout, Retries: o.Retries,
		Caller: r.caller(),
	}
	replace := a.Get("do") == "replace-preset" && p.Name == a.Get(optionPresetAsked) // the name may have been changed since
	saved, _, err := s.opts.Service.SavePreset(r.Context(), t.module.Name, t.function.Name, p, replace)
	if err == nil {
		return presetOf{chosen: saved.Name, saved: saved.Name, omitted: append(omitted, saved.Omitted...)}, http.StatusOK
	}
	e, ok := errors.AsType[*distro.Error](err)
	switch {
	case !ok:
		s.opts.Logger.ErrorContext(r.Context(), "preset could not be saved", "function", t.full(), "error", err)
		return presetOf{refused: r.T("problem.internal")}, http.StatusInternalServerError
	case e.Code == distro.CodeConflict && e.Field == "name":
		return presetOf{replaces: true}, http.StatusConflict
	case e.Field == "name" && p.Name == "":
		return presetOf{refused: r.T("preset.nameless")}, http.StatusUnprocessableEntity
	case e.Field == "name":
		return presetOf{refused: r.T("preset.name.wrong", service.MaxPresetName)}, http.StatusUnprocessableEntity
	case e.Code == distro.CodeInvalid && a.RefuseArgument(e.Field, e.Message):
		return presetOf{}, http.StatusUnprocessableEntity
	}
	return presetOf{refused: e.Message, english: true}, e.Code.HTTPStatus()
}

// viewPresets is what the form shows of presets; nil: there are none here.
func (s *Server) viewPresets(r *request, t *target, a *form.Answers, of presetOf) *presetsView {
	if !s.opts.Service.HasPresets() {
		return nil
	}
	v := &presetsView{
		Chosen: of.chosen, Gone: of.gone, Unfit: strings.Join(of.unfit, ", "), Away: of.away, Saved: of.saved, Omitted: strings.Join(of.omitted, ", "),
		Replaces: of.replaces, Refused: of.refused, English: of.english, Name: strings.TrimSpace(a.Get(optionPreset)), Was: a.Get(optionPresetWas),
	}
	if of.chosen != "" {
		v.Name, v.Was = of.chosen, of.chosen
	}
	names, err := s.opts.Service.PresetNames(r.Context(), t.module.Name, t.function.Name)
	if err != nil {
		s.opts.Logger.WarnContext(r.Context(), "presets could not be listed", "function", t.full(), "error", err)
		v.Away = true // and the form goes on without them
	}
	for _, name := range names {
		v.List = append(v.List, presetLink{name, query(t.url(), "preset", name), name == v.Chosen})
	}
	return v
}

// deletePreset deletes the preset that a form names.
func (s *Server) deletePreset(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	t, err := s.target(r)
	if err != nil {
		return err
	}
	err = s.opts.Service.DeletePreset(r.Context(), t.module.Name, t.function.Name, r.PostForm.Get("name"))
	if err != nil && distro.ErrorCode(err) != distro.CodeNotFound { // somebody else was faster
		return err
	}
	return r.seeOther(t.url())
}
