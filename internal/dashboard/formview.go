package dashboard

import (
	"slices"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// fieldView is a field as a template shows it.
type fieldView struct {
	ID      string
	Path    string
	Name    string
	Type    string
	Control string
	Help    string
	Hints   []string // how to enter it, and what comes of it
	Default string   // source of what is taken where nothing is entered
	About   string   // ID of what says more
	Problem string
	English bool // the problem is told in English

	Text        string
	Choices     []choiceView
	Radio       bool
	On          bool
	Required    bool
	Changed     bool // from the default
	Kind        string
	Least, Most string
	Placeholder string

	File bool   // one may be given
	Ref  string // the ID of one that is kept
	Kept string // its name and size
	Lost string // the name of one that is to be chosen again

	Null   bool // there is a switch for None
	IsNull bool
	Shaped bool // it can be entered as JSON too
	Raw    bool // it is

	Fields []fieldView
	Rows   []rowView
	Count  int
	Nested bool
}

type choiceView struct {
	Value, Label string
	On           bool
}

// rowView is a row of a field of many.
type rowView struct {
	Path       string
	Number     int
	Keyed      bool
	Key        string
	KeyProblem string
	Fields     []fieldView
}

// viewForm shows a form with what was entered.
func (r *reader) viewForm(fm *form, a *answers) []fieldView {
	list := make([]fieldView, len(fm.fields))
	for i := range fm.fields {
		f := &fm.fields[i]
		list[i] = r.viewField(f, a)
		list[i].Changed = a.changed(f)
	}
	return list
}

// changed reports whether a field holds something else than its default.
func (a *answers) changed(f *field) bool {
	if f.standard == nil {
		return false
	}
	value, given := a.alone().read(f)
	return given && !equalJSON(value, f.standard)
}

// viewField shows one field.
func (r *reader) viewField(f *field, a *answers) fieldView {
	v := fieldView{
		ID: "f-" + f.path, Path: f.path, Name: f.name, Type: f.typ, Control: string(f.control), Help: f.help, Required: f.required,
		Text: a.values.Get(f.path), Null: f.switched(), IsNull: a.null(f.path), Raw: a.raw(f.path), Nested: f.kind == "", Placeholder: " ",
	}
	switch f.kind {
	case distro.VarPositional:
		v.Name = "*" + f.name
	case distro.VarKeyword:
		v.Name = "**" + strings.TrimPrefix(f.name, "**")
	case distro.PositionalOnly, distro.PositionalOrKeyword, distro.KeywordOnly:
	}
	if f.source != "" && f.source != "..." {
		v.Default = f.source
	}
	if p := a.problems[f.path]; p != nil {
		v.Problem, v.English = r.problemText(p), p.said != ""
	}
	v.Shaped = slices.Contains([]control{controlLines, controlPairs, controlRows, controlGroup, controlMany}, f.control)
	if v.Raw {
		v.Control = string(controlJSON)
	}
	r.viewControl(&v, f, a)
	r.viewFile(&v, f, a)
	v.Hints = append(r.hints(f, &v), r.fileHints(f, a)...)
	if v.Problem != "" || v.Lost != "" || v.Help != "" || len(v.Hints) > 0 {
		v.About = v.ID + "-about"
	}
	return v
}

// viewControl fills in what the control needs.
func (r *reader) viewControl(v *fieldView, f *field, a *answers) {
	v.Least, v.Most = f.bounds["minimum"].String(), f.bounds["maximum"].String()
	switch control(v.Control) {
	case controlText, controlAny:
		viewText(v, f)
	case controlSwitch:
		v.On = a.on(f.path)
	case controlMoment:
		v.Text = a.local(v.Text)
	case controlChoice:
		r.viewChoices(v, f)
	case controlMany:
		for _, c := range f.options {
			v.Choices = append(v.Choices, choiceView{c.key, c.label, slices.Contains(a.values[f.path], c.key)})
		}
	case controlLines, controlPairs:
		v.Text = strings.Join(a.values[f.path], "\n")
	case controlGroup:
		for i := range f.fields {
			v.Fields = append(v.Fields, r.viewField(&f.fields[i], a))
		}
	case controlRows:
		r.viewRows(v, f, a)
	case controlLong, controlSecret, controlInteger, controlNumber, controlDate, controlTime, controlSpan, controlJSON:
	}
}

// viewText makes room for text that one line does not hold.
func viewText(v *fieldView, f *field) {
	long := strings.ContainsAny(v.Text, "\r\n")
	switch {
	case f.control == controlAny && (long || len(v.Text) > 120):
		v.Kind = string(controlLong)
	case f.control == controlText && long:
		v.Control = string(controlLong)
	case f.control == controlText:
		v.Kind = map[string]string{"email": "email", "uri": "url"}[f.format]
	}
}

// local is a moment as the control of a browser takes it.
func (a *answers) local(text string) string {
	at, ok := a.when(text)
	switch {
	case !ok:
		return text
	case at.Second() == 0 && at.Nanosecond() == 0:
		return at.Format(localMinute)
	}
	return at.Format(localSecond)
}

func (r *reader) viewChoices(v *fieldView, f *field) {
	v.Radio = len(f.options) <= fewChoices
	if f.standard == nil && (f.source != "" || !v.Radio || !f.required && !f.nullable) {
		v.Choices = append(v.Choices, choiceView{"", r.noChoice(v), v.Text == ""})
	}
	for _, c := range f.options {
		label := c.label
		if label == "" { // of a bool
			label = map[string]string{"true": r.T("form.yes"), "false": r.T("form.no")}[c.key]
		}
		v.Choices = append(v.Choices, choiceView{c.key, label, v.Text == c.key})
	}
	if f.nullable {
		v.Choices = append(v.Choices, choiceView{"null", r.T("form.none"), v.Text == "null"})
	}
}

// noChoice is what it is called to choose nothing.
func (r *reader) noChoice(v *fieldView) string {
	switch {
	case v.Default != "":
		return r.T("form.default", v.Default)
	case v.Required:
		return r.T("form.choose")
	}
	return r.T("form.leave")
}

func (r *reader) viewRows(v *fieldView, f *field, a *answers) {
	v.Count = a.rows(f.path)
	for i := range v.Count {
		field := f.rowField(i)
		row := rowView{Path: field.path, Number: i + 1, Keyed: f.keyed, Key: a.values.Get(keyMark + field.path)}
		if p := a.problems[keyMark+field.path]; p != nil {
			row.KeyProblem = r.problemText(p)
		}
		inner := r.viewField(field, a)
		row.Fields = []fieldView{inner}
		if inner.Control == string(controlGroup) && !inner.Null {
			row.Fields = inner.Fields
		} else {
			row.Fields[0].Name = r.T("form.value")
		}
		v.Rows = append(v.Rows, row)
	}
}

// hints say how a value is entered, and what comes of it.
func (r *reader) hints(f *field, v *fieldView) []string {
	var list []string
	switch control(v.Control) {
	case controlLines:
		list = append(list, r.T("form.hint.lines"))
	case controlPairs:
		list = append(list, r.T("form.hint.pairs"))
	case controlSpan:
		list = append(list, r.T("form.hint.span"))
	case controlMoment:
		list = append(list, r.T("form.hint.moment", r.zone.String()))
	case controlAny:
		list = append(list, r.T("form.hint.any"))
	case controlJSON:
		list = append(list, r.T("form.hint.json"))
	case controlSecret:
		list = append(list, r.T("form.hint.secret"))
	}
	list = append(list, r.boundsHint(f)...)
	if v.Default != "" && f.control != controlChoice {
		list = append(list, r.T("form.default", v.Default))
	} else if f.nullable && !v.Null && f.control != controlChoice {
		list = append(list, r.T("form.empty.none"))
	}
	switch f.format {
	case formatBytes:
		list = append(list, r.T("form.hint.bytes"))
	case formatPath:
		list = append(list, r.T("form.hint.path"))
	}
	return list
}

func (r *reader) boundsHint(f *field) []string {
	var list []string
	for _, b := range []struct{ name, key string }{
		{"minimum", "least"}, {"exclusiveMinimum", "above"}, {"maximum", "most"}, {"exclusiveMaximum", "below"},
	} {
		if n, ok := f.bounds[b.name]; ok {
			list = append(list, r.T("form.bound."+b.key, strings.Replace(n.String(), ".", r.decimal, 1)))
		}
	}
	return list
}

// problemText is a problem in the reader's language.
func (r *reader) problemText(p *problem) string {
	if p.said != "" {
		return p.said
	}
	text := r.T(p.key, p.args...)
	if p.line > 0 {
		text = r.T("form.problem.line", strconv.Itoa(p.line), text)
	}
	return text
}
