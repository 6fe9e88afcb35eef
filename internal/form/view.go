package form

import (
	"slices"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// View is a form as a template shows it.
type View struct {
	Fields   []FieldView // of the parameters
	Options  []FieldView // of the job
	Opened   bool        // one of the options is not what it is by itself
	Files    bool        // a file may be given
	Problems []Problem   // all of them, in the order of the fields
}

// Problem is what is wrong with a field.
type Problem struct {
	ID      string // of the field's control
	Name    string
	Text    string
	English bool // Text is, whatever the reader's language
}

// FieldView is a field as a template shows it.
type FieldView struct {
	ID      string
	Path    string
	Name    string
	Type    string
	Control string
	Help    string   // text
	Doc     string   // what the docstring says, in place of Help: Markdown, which package docstring shows
	Hints   []string // how to enter it, and what comes of it
	Default string   // source of what is taken where nothing is entered
	About   string   // ID of what says more
	Problem string
	English bool // the problem is told in English

	Text        string
	Choices     []ChoiceView
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

	Null    bool // there is a switch for None
	IsNull  bool
	Suggest *SuggestView // values are suggested for it; nil: none are

	Shaped bool // it can be entered as JSON too
	Raw    bool // it is

	Fields []FieldView
	Rows   []RowView
	Count  int
	Nested bool
}

// ChoiceView is one of the values that a field may have.
type ChoiceView struct {
	Value, Label string
	On           bool
}

// RowView is a row of a field of many.
type RowView struct {
	Path       string
	Number     int
	Keyed      bool
	Key        string
	KeyProblem string
	Fields     []FieldView
}

// View shows a form with what was entered, and what is wrong with it. Machines
// elsewhere are those with workers that cannot read files which are kept here.
func (a *Answers) View(elsewhere []string) View {
	a.elsewhere = elsewhere
	v := View{Files: a.form.Takes(""), Options: a.viewOptions()}
	for i := range a.form.fields {
		f := &a.form.fields[i]
		field := a.viewField(f)
		field.Changed = a.changed(f)
		v.Fields = append(v.Fields, field)
	}
	for i := range v.Options {
		o := &v.Options[i]
		v.Opened = v.Opened || o.On || o.Problem != "" || o.Text != "" && o.Path != OptionQueue
	}
	v.collect(v.Fields)
	v.collect(v.Options)
	return v
}

// collect lists the problems of fields, and of those within them.
func (v *View) collect(fields []FieldView) {
	for i := range fields {
		f := &fields[i]
		if f.Problem != "" {
			v.Problems = append(v.Problems, Problem{f.ID, f.Name, f.Problem, f.English})
		}
		v.collect(f.Fields)
		for _, row := range f.Rows {
			if row.KeyProblem != "" {
				v.Problems = append(v.Problems, Problem{f.ID, f.Name, row.KeyProblem, false})
			}
			v.collect(row.Fields)
		}
	}
}

// changed reports whether a field holds something else than its default.
func (a *Answers) changed(f *field) bool {
	if f.standard == nil {
		return false
	}
	value, given := a.alone().read(f)
	return given && !equalJSON(value, f.standard)
}

// viewField shows one field.
func (a *Answers) viewField(f *field) FieldView {
	v := FieldView{
		ID: "f-" + f.path, Path: f.path, Name: f.shownName(), Type: f.typ, Control: string(f.control), Required: f.required,
		Text: a.values.Get(f.path), Null: f.switched(), IsNull: a.null(f.path), Raw: a.raw(f.path), Nested: f.kind == "", Placeholder: " ",
	}
	if v.Doc = f.doc; v.Doc == "" {
		v.Help = f.help
	}
	if f.source != "" && f.source != "..." {
		v.Default = f.source
	}
	if p := a.problems[f.path]; p != nil {
		v.Problem, v.English = a.reader.problem(p), p.said != ""
	}
	v.Shaped = slices.Contains([]control{controlLines, controlPairs, controlRows, controlGroup, controlMany}, f.control)
	if v.Raw {
		v.Control = string(controlJSON)
	}
	a.viewControl(&v, f)
	if !v.Raw && v.Control != string(controlLong) && v.Kind != string(controlLong) {
		v.Suggest = a.viewSuggestions(f)
	}
	a.viewFile(&v, f)
	v.Hints = append(a.reader.hints(f, &v), a.fileHints(f)...)
	if v.Problem != "" || v.Lost != "" || v.Help != "" || v.Doc != "" || len(v.Hints) > 0 {
		v.About = v.ID + "-about"
	}
	return v
}

// shownName is the name as a signature has it.
func (f *field) shownName() string {
	switch f.kind {
	case distro.VarPositional:
		return "*" + f.name
	case distro.VarKeyword:
		return "**" + strings.TrimPrefix(f.name, "**")
	case distro.PositionalOnly, distro.PositionalOrKeyword, distro.KeywordOnly:
	}
	return f.name
}

// viewControl fills in what the control needs.
func (a *Answers) viewControl(v *FieldView, f *field) {
	v.Least, v.Most = f.bounds["minimum"].String(), f.bounds["maximum"].String()
	switch control(v.Control) {
	case controlText, controlAny:
		viewText(v, f)
	case controlSwitch:
		v.On = a.on(f.path)
	case controlMoment:
		v.Text = a.local(v.Text)
	case controlChoice:
		a.reader.viewChoices(v, f)
	case controlMany:
		for _, c := range f.options {
			v.Choices = append(v.Choices, ChoiceView{c.key, c.label, slices.Contains(a.values[f.path], c.key)})
		}
	case controlLines, controlPairs:
		v.Text = strings.Join(a.values[f.path], "\n")
	case controlGroup:
		for i := range f.fields {
			v.Fields = append(v.Fields, a.viewField(&f.fields[i]))
		}
	case controlRows:
		a.viewRows(v, f)
	case controlLong, controlSecret, controlInteger, controlNumber, controlDate, controlTime, controlSpan, controlJSON:
	}
}

// viewText makes room for text that one line does not hold.
func viewText(v *FieldView, f *field) {
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
func (a *Answers) local(text string) string {
	at, ok := a.when(text)
	switch {
	case !ok:
		return text
	case at.Second() == 0 && at.Nanosecond() == 0:
		return at.Format(localMinute)
	}
	return at.Format(localSecond)
}

func (r *Reader) viewChoices(v *FieldView, f *field) {
	v.Radio = len(f.options) <= fewChoices
	if f.standard == nil && (f.source != "" || !v.Radio || !f.required && !f.nullable) {
		v.Choices = append(v.Choices, ChoiceView{"", r.noChoice(v), v.Text == ""})
	}
	for _, c := range f.options {
		label := c.label
		if label == "" { // of a bool
			label = map[string]string{"true": r.Text("form.yes"), "false": r.Text("form.no")}[c.key]
		}
		v.Choices = append(v.Choices, ChoiceView{c.key, label, v.Text == c.key})
	}
	if f.nullable {
		v.Choices = append(v.Choices, ChoiceView{"null", r.Text("form.none"), v.Text == "null"})
	}
}

// noChoice is what it is called to choose nothing.
func (r *Reader) noChoice(v *FieldView) string {
	switch {
	case v.Default != "":
		return r.Text("form.default", v.Default)
	case v.Required:
		return r.Text("form.choose")
	}
	return r.Text("form.leave")
}

func (a *Answers) viewRows(v *FieldView, f *field) {
	v.Count = a.rows(f.path)
	for i := range v.Count {
		field := f.rowField(i)
		row := RowView{Path: field.path, Number: i + 1, Keyed: f.keyed, Key: a.values.Get(keyMark + field.path)}
		if p := a.problems[keyMark+field.path]; p != nil {
			row.KeyProblem = a.reader.problem(p)
		}
		inner := a.viewField(field)
		row.Fields = []FieldView{inner}
		if inner.Control == string(controlGroup) && !inner.Null {
			row.Fields = inner.Fields
		} else {
			row.Fields[0].Name = a.reader.Text("form.value")
		}
		v.Rows = append(v.Rows, row)
	}
}

// hints say how a value is entered, and what comes of it.
func (r *Reader) hints(f *field, v *FieldView) []string {
	var list []string
	switch control(v.Control) {
	case controlLines:
		list = append(list, r.Text("form.hint.lines"))
	case controlPairs:
		list = append(list, r.Text("form.hint.pairs"))
	case controlSpan:
		list = append(list, r.Text("form.hint.span"))
	case controlMoment:
		list = append(list, r.Text("form.hint.moment", r.Zone.String()))
	case controlAny:
		list = append(list, r.Text("form.hint.any"))
	case controlJSON:
		list = append(list, r.Text("form.hint.json"))
	case controlSecret:
		list = append(list, r.Text("form.hint.secret"))
	}
	list = append(list, r.boundsHint(f)...)
	if v.Default != "" && f.control != controlChoice {
		list = append(list, r.Text("form.default", v.Default))
	} else if f.nullable && !v.Null && f.control != controlChoice {
		list = append(list, r.Text("form.empty.none"))
	}
	switch f.format {
	case signature.FormatBytes:
		list = append(list, r.Text("form.hint.bytes"))
	case signature.FormatPath:
		list = append(list, r.Text("form.hint.path"))
	}
	return list
}

func (r *Reader) boundsHint(f *field) []string {
	var list []string
	for _, b := range []struct{ name, key string }{
		{"minimum", "least"}, {"exclusiveMinimum", "above"}, {"maximum", "most"}, {"exclusiveMaximum", "below"},
	} {
		if n, ok := f.bounds[b.name]; ok {
			list = append(list, r.Text("form.bound."+b.key, strings.Replace(n.String(), ".", r.Decimal, 1)))
		}
	}
	return list
}

// problem is what is wrong, in the reader's language.
func (r *Reader) problem(p *problem) string {
	if p.said != "" {
		return p.said
	}
	text := r.Text(p.key, p.args...)
	if p.line > 0 {
		text = r.Text("form.problem.line", strconv.Itoa(p.line), text)
	}
	return text
}
