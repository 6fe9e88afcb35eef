package form

import (
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// Suggestions are what a function of the module offers for a parameter. Other
// values may be entered all the same.
type Suggestions struct {
	URL      string // of the page with the form, below which scripts ask
	Function string // that offers them
	State    string // a text form.suggest.STATE, of the function; empty: nobody asked yet
	Message  string // more about the state, in English
	Job      string // the ID of the job that asked; empty: there is none
	Values   []Suggestion
	Cut      bool   // there were more
	Unfit    int    // values that do not fit the parameter
	Example  string // what is wrong with one of them, in English
}

// Suggestion is one of the values.
type Suggestion struct {
	Value []byte // JSON
	Label string // empty: the value says it all
}

// SuggestReady is the state of suggestions that came.
const SuggestReady = "ready"

// SuggestView is what stands beside a field for which values are suggested.
type SuggestView struct {
	ID        string // of the element; that of the list of values follows from it
	URL       string // of the page
	Path      string
	Parameter string
	Name      string
	Asked     bool
	Text      string // what became of asking
	Message   string // more of it, in English
	Bad       bool   // no values came
	Job       string
	Cut       bool
	Unfit     int
	Example   string // in English
	Values    []ChoiceView
	Lines     bool // one is chosen, and becomes a line of the field
}

// suggests reports whether values can be suggested for what is entered into f.
func (f *field) suggests() bool {
	switch f.control {
	case controlText, controlInteger, controlNumber, controlDate, controlMoment, controlTime, controlSpan, controlAny:
		return true
	case controlLines:
		return f.element.suggests()
	}
	return false
}

// offer notes that a function offers values for a parameter. Text that has a list
// of values needs no more than a line.
func (f *field) offer() {
	if f.control == controlLong && f.format == "" && f.upload == "" && !longText(f.standard) {
		f.control = controlText
	}
	f.offered = f.suggests()
}

// Offered are the parameters for which values can be suggested.
func (fm *Form) Offered() []string {
	var names []string
	for i := range fm.fields {
		if fm.fields[i].offered {
			names = append(names, fm.fields[i].name)
		}
	}
	return names
}

// Suggest puts suggestions beside the field of a parameter; such without a State
// let the reader ask for some.
func (a *Answers) Suggest(parameter string, s Suggestions) {
	if a.suggested == nil {
		a.suggested = map[string]Suggestions{}
	}
	a.suggested[parameter] = s
}

// WantsSuggestions is the parameter for which a button asks for suggestions, and
// whether it asks for new ones; empty: none does.
func (a *Answers) WantsSuggestions() (parameter string, again bool) {
	for _, name := range a.form.Offered() {
		switch prefix + name {
		case a.Get("suggest"):
			return name, false
		case a.Get("suggest-again"):
			return name, true
		}
	}
	return "", false
}

// ViewSuggestions is what stands beside the field of one parameter; ok is false
// where nothing does.
func (a *Answers) ViewSuggestions(parameter string) (view *SuggestView, ok bool) {
	f := a.form.find(prefix + parameter)
	if f == nil {
		return nil, false
	}
	view = a.viewSuggestions(f)
	return view, view != nil
}

func (a *Answers) viewSuggestions(f *field) *SuggestView {
	s, known := a.suggested[f.name]
	if !f.offered || !known {
		return nil
	}
	v := &SuggestView{
		ID: "f-" + f.path + "-suggest", URL: s.URL, Path: f.path, Parameter: f.name, Name: f.name, Asked: s.State != "", Job: s.Job, Cut: s.Cut,
		Unfit: s.Unfit, Example: s.Example, Message: s.Message, Bad: s.State != SuggestReady && s.State != "", Lines: f.control == controlLines,
	}
	a.suggest(v, f, s.Values)
	switch {
	case s.State == SuggestReady && len(v.Values) == 0:
		v.Text = a.reader.Text("form.suggest.nothing", s.Function)
	case s.State == SuggestReady:
		v.Text = a.reader.Text("form.suggest.ready", s.Function, len(v.Values))
	case v.Asked:
		v.Text = a.reader.Text("form.suggest."+s.State, s.Function)
	}
	return v
}

// suggest shows values as they are entered into the field, or into a line of it.
func (a *Answers) suggest(v *SuggestView, f *field, values []Suggestion) {
	one := f
	if v.Lines {
		one = f.element
	}
	for _, each := range values {
		if jsonscan.KindOf(each.Value) == jsonscan.Null && f.nullable {
			continue // the form has a switch for it
		}
		text, ok := a.suggestion(one, each.Value)
		if ok && !(v.Lines && strings.Contains(text, "\n")) {
			v.Values = append(v.Values, ChoiceView{Value: text, Label: each.Label})
		} else if v.Unfit++; v.Unfit == 1 {
			v.Example = string(each.Value)
		}
	}
}

// suggestion is how a value is entered into a control. A moment without a zone is
// one of the reader's, as what they enter is.
func (a *Answers) suggestion(f *field, value []byte) (text string, ok bool) {
	if f.control == controlMoment && jsonscan.KindOf(value) == jsonscan.String {
		text = jsonscan.Text(value)
		_, ok = a.when(text)
		return a.local(text), ok
	}
	return a.line(f, value)
}

// pick makes a chosen suggestion a line of a field.
func (a *Answers) pick(f *field) {
	chosen := a.Get(pickMark + f.path)
	if chosen == "" || !f.offered || f.control != controlLines || a.raw(f.path) {
		return
	}
	lines := strings.Split(strings.TrimRight(strings.Join(a.values[f.path], "\n"), "\r\n"), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" })
	a.values.Set(f.path, strings.Join(append(lines, chosen), "\n"))
	delete(a.values, nullMark+f.path)
}
