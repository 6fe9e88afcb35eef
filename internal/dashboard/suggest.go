package dashboard

import (
	"errors"
	"net/url"
	"slices"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/form"
	"github.com/distro-orchestrator/distro/internal/service"
)

// suggest puts beside the fields of a form what functions of the module offered
// lately, and the way to ask them, for those who may.
func (s *Server) suggest(r *request, t *target, fm *form.Form, a *form.Answers) {
	if r.operator() != nil {
		return
	}
	for _, parameter := range fm.Offered() {
		known, _ := s.opts.Service.KnownOptions(r.Context(), t.module.Name, t.function.Name, parameter) // else nobody asked yet
		a.Suggest(parameter, suggestions(t, known))
	}
}

// ask asks a function for its options, and puts them beside the field. That it
// cannot be asked is told there too: nothing that was entered is lost for it.
func (s *Server) ask(r *request, t *target, a *form.Answers, parameter string, again bool) {
	found, err := s.opts.Service.ParameterOptions(r.Context(), service.OptionsRequest{
		Module: t.module.Name, Function: t.function.Name, Parameter: parameter, Refresh: again, Caller: r.caller(),
	})
	if err != nil {
		found = service.ParameterOptions{State: service.OptionsFailed}
		if offering, ok := t.module.OffersOptions(parameter); ok {
			found.Function = t.module.Name + "." + offering.Name
		}
		if e, ok := errors.AsType[*distro.Error](err); ok {
			found.Message = e.Message
		} else {
			s.opts.Logger.ErrorContext(r.Context(), "options could not be asked for", "function", found.Function, "error", err)
		}
	}
	a.Suggest(parameter, suggestions(t, found))
}

// suggestions are options as a form has them.
func suggestions(t *target, o service.ParameterOptions) form.Suggestions {
	shown := form.Suggestions{
		URL: t.url(), Function: o.Function, State: string(o.State), Message: o.Message, Job: o.Job, Cut: o.Cut, Unfit: o.Unfit, Example: o.Example,
		Values: make([]form.Suggestion, len(o.Options)),
	}
	if o.State == service.OptionsUnfit && o.Job == "" { // the function was not even called
		shown.State, shown.Message = "arguments", ""
	}
	if slices.Contains([]service.OptionsState{service.OptionsPending, service.OptionsNoWorker, service.OptionsTimeout}, o.State) {
		shown.Message = "" // the state says it all
	}
	for i, each := range o.Options {
		shown.Values[i] = form.Suggestion(each)
	}
	return shown
}

// suggestions answers a script with what stands beside a field once its options
// were asked for.
func (s *Server) suggestions(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	t, err := s.target(r)
	if err != nil {
		return err
	}
	fm, err := s.formOf(&t)
	if err != nil {
		return err
	}
	a := fm.Blank(url.Values{}, r.form())
	parameter := r.PathValue("parameter")
	if slices.Contains(fm.Offered(), parameter) {
		s.ask(r, &t, a, parameter, r.query("again") != "")
	}
	view, ok := a.ViewSuggestions(parameter)
	if !ok {
		return distro.Errorf(distro.CodeNotFound, "nothing offers values for a parameter %.100q", parameter)
	}
	return s.showPart(r, "automation", "suggest-part", view)
}
