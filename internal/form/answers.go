package form

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// Answers are what was entered into a form, or what stands in it before, with
// what is wrong about it. They belong to one request.
type Answers struct {
	form     *Form
	reader   Reader
	values   url.Values
	problems map[string]*problem
	files    map[string]File // by the paths of their fields

	suggested map[string]Suggestions // by parameter

	elsewhere []string // other machines, which cannot read what is kept here
}

// Answers are what a reader sent: values are kept, and changed. A file is given
// apart, and what no browser sends of a form is dropped.
func (fm *Form) Answers(values url.Values, reader Reader) *Answers {
	for name := range values {
		if neverSent(name) {
			delete(values, name)
		}
	}
	return &Answers{form: fm, reader: reader, values: values, problems: map[string]*problem{}, files: map[string]File{}}
}

// Blank are the answers of a form that nobody filled in: defaults, and the options
// of the job that an address asks for.
func (fm *Form) Blank(asked url.Values, reader Reader) *Answers {
	a := fm.Answers(url.Values{}, reader)
	for _, name := range options() {
		if v := asked.Get(name); v != "" {
			a.values.Set(name, v)
		}
	}
	for i := range fm.fields {
		a.put(&fm.fields[i], fm.fields[i].standard)
	}
	return a
}

// Get is what was entered into a control, or sent by a button; empty: nothing.
func (a *Answers) Get(name string) string { return a.values.Get(name) }

// Set enters a text into a control.
func (a *Answers) Set(name, text string) { a.values.Set(name, text) }

// Add enters what another part of a request holds for a control.
func (a *Answers) Add(name, text string) {
	if !neverSent(name) {
		a.values.Add(name, text)
	}
}

// Valid reports whether nothing is wrong, as far as was looked.
func (a *Answers) Valid() bool { return len(a.problems) == 0 }

// Refuse notes what is wrong with the field, or the option, at a path: a text
// form.problem.KEY. What was noted first stays.
func (a *Answers) Refuse(path, key string, args ...any) { a.refuse(path, wrong(key, args...)) }

// RefuseArgument notes what the service says, in English, of an argument,
// kwargs.NAME.MEMBER[0], or of an option, like queue. It reports whether there is
// such a field.
func (a *Answers) RefuseArgument(name, said string) bool {
	if slices.Contains(options(), optionPrefix+name) {
		a.refuse(optionPrefix+name, &problem{said: said})
		return true
	}
	rest, isNamed := strings.CutPrefix(name, "kwargs.")
	if !isNamed {
		return false
	}
	for at := len(rest); at > 0; at = strings.LastIndexAny(rest[:at], ".[") {
		f := a.form.find(prefix + rest[:at])
		if f == nil {
			continue
		}
		if within := strings.TrimPrefix(rest[at:], "."); within != "" {
			said = within + ": " + said
		}
		a.refuse(f.path, &problem{said: said})
		return true
	}
	return false
}

const (
	rawName   = "raw"
	nullMark  = "null:"
	countMark = "n:"
	keyMark   = "key:"
	pickMark  = "pick:"
	maxRows   = 100
)

func (a *Answers) raw(path string) bool { return slices.Contains(a.values[rawName], path) }

func (a *Answers) setRaw(path string, on bool) {
	kept := slices.DeleteFunc(slices.Clone(a.values[rawName]), func(p string) bool { return p == path || strings.HasPrefix(p, path+".") })
	if on {
		kept = append(kept, path)
	}
	a.values[rawName] = kept
}

func (a *Answers) null(path string) bool { return a.values.Get(nullMark+path) != "" }

func (a *Answers) refuse(path string, p *problem) {
	if _, known := a.problems[path]; !known {
		a.problems[path] = p
	}
}

// rows is how many rows a field has.
func (a *Answers) rows(path string) int {
	n, _ := strconv.Atoi(a.values.Get(countMark + path)) // else none
	return min(max(n, 0), maxRows)
}

// alone is a with problems of its own.
func (a *Answers) alone() *Answers {
	return &Answers{form: a.form, reader: a.reader, values: a.values, problems: map[string]*problem{}, files: a.files}
}

// marks begin the names of what belongs to a field: its control, and what stands
// beside that.
func marks() []string { return []string{"", nullMark, countMark, keyMark, refMark, lostMark} }

// equalJSON reports whether two values are the same.
func equalJSON(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return bytes.Equal(jsonscan.AppendCanonical(nil, a), jsonscan.AppendCanonical(nil, b))
}

// switched reports whether the form asks separately whether an empty field is
// None: where it could as well be an empty text or list, or the default.
func (f *field) switched() bool {
	if !f.nullable {
		return false
	}
	switch f.control {
	case controlChoice:
		return false
	case controlText, controlLong, controlSecret, controlAny, controlLines, controlPairs, controlRows, controlMany, controlGroup, controlJSON:
		return true
	}
	return f.source != ""
}

// read returns the value of a field as JSON, and whether there is one: nothing
// entered is none, and what is wrong is noted.
func (a *Answers) read(f *field) ([]byte, bool) {
	if file, ok := a.files[f.path]; ok && f.upload != "" {
		return file.value, true
	}
	switch {
	case a.raw(f.path):
		return a.readJSON(f)
	case f.control == controlGroup:
		return a.readGroup(f)
	case f.control == controlRows:
		return a.readRows(f)
	case f.control == controlMany:
		return a.readMany(f)
	case f.control == controlJSON:
		return a.readJSON(f)
	}
	list, there := a.values[f.path]
	if !there {
		return a.nothing(f, false)
	}
	switch f.control {
	case controlLines:
		return a.readLines(f, strings.Join(list, "\n"))
	case controlPairs:
		return a.readPairs(f, strings.Join(list, "\n"))
	}
	return a.readOne(f, list[len(list)-1])
}

// readOne reads what was entered into a single control.
func (a *Answers) readOne(f *field, entered string) ([]byte, bool) {
	blank := strings.TrimSpace(entered) == ""
	switch f.control {
	case controlText, controlLong, controlSecret: // blanks are text
		blank = entered == ""
	case controlChoice:
		if entered == "null" && f.nullable {
			return []byte("null"), true
		}
		blank = entered == ""
	case controlSwitch:
		blank = false
	}
	if blank {
		return a.nothing(f, true)
	}
	value, p := a.scalar(f, entered)
	if p != nil {
		a.refuse(f.path, p)
		return nil, false
	}
	return value, true
}

// nothing is the value of a field into which nothing was entered; there says
// that the form had it.
func (a *Answers) nothing(f *field, there bool) ([]byte, bool) {
	switched := f.switched()
	none := there && f.nullable && f.control != controlChoice
	if switched {
		none = a.null(f.path)
	}
	switch {
	case none:
		return []byte("null"), true
	case f.required:
		a.refuse(f.path, wrong("required"))
		return nil, false
	case !there, f.standard == nil && (!switched || f.source != ""):
		return nil, false // the function knows better
	}
	return f.blank()
}

// blank is the value of an empty control, where that is one.
func (f *field) blank() ([]byte, bool) {
	switch f.control {
	case controlText, controlLong, controlSecret:
		return []byte(`""`), true
	case controlAny:
		return []byte(`""`), f.switched() || jsonscan.KindOf(f.standard) == jsonscan.String
	case controlLines, controlMany:
		return []byte("[]"), true
	case controlRows:
		if f.keyed {
			return []byte("{}"), true
		}
		return []byte("[]"), true
	case controlPairs:
		return []byte("{}"), true
	}
	return nil, false
}

func (a *Answers) readJSON(f *field) ([]byte, bool) {
	entered, there := a.values[f.path]
	text := strings.TrimSpace(strings.Join(entered, "\n"))
	if text == "" {
		return a.nothing(f, there)
	}
	if err := jsonscan.Check([]byte(text), a.form.opts.Depth); err != nil {
		a.refuse(f.path, wrong("json", err.Error()))
		return nil, false
	}
	return []byte(text), true
}

// readLines reads a list, an element in each line. Lines without text are none.
func (a *Answers) readLines(f *field, entered string) ([]byte, bool) {
	var elements [][]byte
	for i, line := range slices.Collect(strings.Lines(entered)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		value, p := a.scalar(f.element, line)
		if p != nil {
			p.line = i + 1
			a.refuse(f.path, p)
			return nil, false
		}
		elements = append(elements, value)
	}
	if len(elements) == 0 {
		return a.nothing(f, true)
	}
	if f.single && len(elements) == 1 {
		return elements[0], true
	}
	return a.listed(f, elements)
}

// listed is a list, held against its bounds.
func (a *Answers) listed(f *field, elements [][]byte) ([]byte, bool) {
	if least, ok := f.whole("minItems"); ok && len(elements) < least {
		a.refuse(f.path, wrong("few", least))
		return nil, false
	}
	if most, ok := f.whole("maxItems"); ok && len(elements) > most {
		a.refuse(f.path, wrong("many", most))
		return nil, false
	}
	return joined('[', elements, ']'), true
}

func joined(opening byte, parts [][]byte, closing byte) []byte {
	text := append([]byte{opening}, bytes.Join(parts, []byte(","))...)
	return append(text, closing)
}

// readPairs reads a dict, key = value in each line.
func (a *Answers) readPairs(f *field, entered string) ([]byte, bool) {
	var members [][]byte
	seen := map[string]bool{}
	for i, line := range slices.Collect(strings.Lines(entered)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, text, ok := strings.Cut(line, "=")
		if !ok {
			key, text, ok = strings.Cut(line, ":")
		}
		key, text = strings.TrimSpace(key), strings.TrimSpace(text)
		var value []byte
		var p *problem
		switch {
		case !ok || key == "" || !utf8.ValidString(key):
			p = wrong("pair")
		case seen[key]:
			p = wrong("twice", key)
		default:
			seen[key] = true
			value, p = a.scalar(f.element, text)
		}
		if p != nil {
			p.line = i + 1
			a.refuse(f.path, p)
			return nil, false
		}
		members = append(members, memberOf(key, value))
	}
	if len(members) == 0 {
		return a.nothing(f, true)
	}
	return joined('{', members, '}'), true
}

func memberOf(key string, value []byte) []byte {
	return append(append(encode(key), ':'), value...)
}

// readMany reads which of a few were chosen.
func (a *Answers) readMany(f *field) ([]byte, bool) {
	list, there := a.values[f.path]
	var elements [][]byte
	for _, c := range f.options {
		if slices.Contains(list, c.key) {
			elements = append(elements, c.value)
		}
	}
	if len(elements) == 0 {
		return a.nothing(f, there)
	}
	return a.listed(f, elements)
}

// readGroup reads fields as one value. One that may be left out is, where
// nothing was entered into any of its fields.
func (a *Answers) readGroup(f *field) ([]byte, bool) {
	if f.nullable && a.null(f.path) {
		return []byte("null"), true
	}
	if !f.required && !slices.ContainsFunc(f.fields, func(member field) bool { return a.entered(&member) }) {
		return nil, false
	}
	within := a.alone()
	var parts [][]byte
	for i := range f.fields {
		member := &f.fields[i]
		value, given := within.read(member)
		if !given && member.standard != nil {
			value, given = member.standard, true
		}
		switch {
		case f.tuple:
			parts = append(parts, value)
		case given:
			parts = append(parts, memberOf(member.name, value))
		}
	}
	switch {
	case a.refuseAll(within):
		return nil, false
	case f.tuple:
		return joined('[', parts, ']'), true
	}
	return joined('{', parts, '}'), true
}

// refuseAll takes over the problems of a part, and reports whether it has any.
func (a *Answers) refuseAll(within *Answers) bool {
	for path, p := range within.problems {
		a.refuse(path, p)
	}
	return len(within.problems) > 0
}

// entered reports whether somebody entered something into a field, or into one
// within it, be it right or wrong.
func (a *Answers) entered(f *field) bool {
	within := a.alone()
	value, given := within.read(f)
	switch {
	case given:
		return !untouched(f, value)
	case a.raw(f.path):
		return strings.TrimSpace(a.values.Get(f.path)) != ""
	case f.control == controlGroup:
		return slices.ContainsFunc(f.fields, func(member field) bool { return a.entered(&member) })
	case f.control == controlRows:
		for i := range a.rows(f.path) {
			if row := f.rowField(i); a.values.Get(keyMark+row.path) != "" || a.entered(row) {
				return true
			}
		}
		return false
	}
	p := within.problems[f.path]
	return p != nil && p.key != "form.problem.required"
}

// untouched reports whether a value is what its field has before anybody
// entered something.
func untouched(f *field, value []byte) bool {
	if f.standard != nil {
		return equalJSON(value, f.standard)
	}
	return string(value) == "null" || f.control == controlSwitch && string(value) == "false"
}

// rowField is the field of a row.
func (f *field) rowField(i int) *field {
	row := f.element.moved(f.path, f.path+"."+strconv.Itoa(i))
	row.required = false
	return row
}

// moved is f at another path.
func (f *field) moved(from, to string) *field {
	m := *f
	m.path = to + strings.TrimPrefix(f.path, from)
	m.fields = make([]field, len(f.fields))
	for i := range f.fields {
		m.fields[i] = *f.fields[i].moved(from, to)
	}
	if f.element != nil {
		m.element = f.element.moved(from, to)
	}
	return &m
}

// readRows reads a list, or a dict, whose elements need more than a line. Rows
// without anything in them are none.
func (a *Answers) readRows(f *field) ([]byte, bool) {
	if _, there := a.values[countMark+f.path]; !there {
		return a.nothing(f, false)
	}
	var parts [][]byte
	within := a.alone()
	seen := map[string]bool{}
	for i := range a.rows(f.path) {
		if part, given := within.readRow(f, i, seen); given {
			parts = append(parts, part)
		}
	}
	switch {
	case a.refuseAll(within):
		return nil, false
	case len(parts) == 0:
		return a.nothing(f, true)
	case f.keyed:
		return joined('{', parts, '}'), true
	}
	return a.listed(f, parts)
}

// readRow reads a row as an element, or as a member with its key.
func (a *Answers) readRow(f *field, i int, seen map[string]bool) ([]byte, bool) {
	row := f.rowField(i)
	key := strings.TrimSpace(a.values.Get(keyMark + row.path))
	row.required = key != ""
	value, given := a.read(row)
	if !given || !f.keyed {
		return value, given
	}
	switch {
	case key == "":
		a.refuse(keyMark+row.path, wrong("required"))
	case seen[key] || !utf8.ValidString(key):
		a.refuse(keyMark+row.path, wrong("twice", key))
	default:
		seen[key] = true
		return memberOf(key, value), true
	}
	return nil, false
}

// Arguments reads the whole form: what a call gets by position, a JSON list, and by
// name, a JSON object. What is wrong is noted. An argument that is what the
// function takes anyway is left out.
func (a *Answers) Arguments() (args, kwargs []byte) {
	return a.gather(func(f *field, value []byte) bool {
		return f.required || f.kind == distro.VarPositional || f.standard == nil || !equalJSON(value, f.standard)
	})
}

// gather reads the fields whose values are wanted.
func (a *Answers) gather(wanted func(f *field, value []byte) bool) (args, kwargs []byte) {
	fm := a.form
	given := make([][]byte, len(fm.fields))
	byPosition := false // what has a name too, as *args stand behind it
	for i := range fm.fields {
		f := &fm.fields[i]
		value, ok := a.read(f)
		if ok && wanted(f, value) {
			given[i] = value
		}
		if f.kind == distro.VarPositional && ok && !empty(value) {
			byPosition = true
		}
	}
	return joined('[', fm.positionals(a, given, byPosition), ']'), joined('{', fm.keywords(a, given, byPosition), '}')
}

func empty(value []byte) bool { return slices.Contains([]string{"[]", "{}", "null"}, string(value)) }

// positionals are the arguments without names. One that was left out and has
// others behind it takes its default.
func (fm *Form) positionals(a *Answers, given [][]byte, byPosition bool) [][]byte {
	var list [][]byte
	var missing []*field
	for i := range fm.fields {
		f := &fm.fields[i]
		switch {
		case f.kind == distro.PositionalOnly, f.kind == distro.PositionalOrKeyword && byPosition:
			if given[i] == nil && (!byPosition || f.standard == nil) {
				missing = append(missing, f)
				list = append(list, f.standard)
				continue
			}
			if given[i] == nil {
				given[i] = f.standard
			}
			a.behind(missing)
			missing = missing[:0]
			list = append(list, given[i])
		case f.kind == distro.VarPositional && byPosition:
			a.behind(missing)
			missing = missing[:0]
			for element := range jsonscan.Elements(given[i]) {
				list = append(list, element)
			}
		}
	}
	return list[:len(list)-len(missing)]
}

// behind notes fields that cannot be left out, as something stands behind them.
func (a *Answers) behind(missing []*field) {
	for _, f := range missing {
		if f.standard == nil {
			a.refuse(f.path, wrong("required"))
		}
	}
}

func (fm *Form) keywords(a *Answers, given [][]byte, byPosition bool) [][]byte {
	var members [][]byte
	names := map[string]bool{}
	for i := range fm.fields {
		f := &fm.fields[i]
		if f.kind != distro.VarKeyword && f.kind != distro.VarPositional {
			names[f.name] = true
		}
		if given[i] != nil && (f.kind == distro.KeywordOnly || f.kind == distro.PositionalOrKeyword && !byPosition) {
			members = append(members, memberOf(f.name, given[i]))
		}
	}
	for i := range fm.fields {
		f := &fm.fields[i]
		if f.kind != distro.VarKeyword || given[i] == nil || jsonscan.KindOf(given[i]) != jsonscan.Object {
			continue
		}
		for name, value := range jsonscan.Members(given[i]) {
			if names[name] {
				a.refuse(f.path, wrong("named", name))
				continue
			}
			members = append(members, memberOf(name, value))
		}
	}
	return members
}
