package form

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// control is how a form asks for a value.
type control string

// The controls.
const (
	controlText    control = "text"
	controlLong    control = "long" // text of more than a line
	controlSecret  control = "secret"
	controlInteger control = "integer"
	controlNumber  control = "number"
	controlSwitch  control = "switch"
	controlDate    control = "date"
	controlMoment  control = "moment"
	controlTime    control = "time"
	controlSpan    control = "span"
	controlChoice  control = "choice"
	controlMany    control = "many"  // some of a few
	controlLines   control = "lines" // a list, an element in each line
	controlPairs   control = "pairs" // a dict, key = value in each line
	controlGroup   control = "group" // fields of a record, or elements of a tuple
	controlRows    control = "rows"  // a list or dict of what needs more than a line
	controlAny     control = "any"   // JSON, or text as it stands
	controlJSON    control = "json"
)

// Form asks for the arguments of a function, and for the options of a job that
// calls it. It holds nothing of a request, and never changes.
type Form struct {
	opts   Options
	fields []field
}

// Options are the bounds of what a form takes.
type Options struct {
	Depth    int           // levels of lists and objects in an argument
	Kept     int64         // bytes of the files whose path is an argument, together; 0: there is no place for any
	Contents int64         // bytes of the files whose content is an argument, together
	Queues   []string      // that can be chosen
	Queue    string        // the one that is where none is
	Delay    time.Duration // the longest, and the longest time of an attempt
	Retries  int           // the most
}

// field asks for one value.
type field struct {
	path    string // the name of its control: kw.customer.name
	name    string
	kind    distro.ParameterKind // empty: it is within another field
	typ     string               // as the source annotates it
	help    string
	doc     string // what a docstring says of it, in place of help
	control control

	required bool
	nullable bool
	standard []byte // the default as JSON; nil: none, or no literal
	source   string // of a default that is no literal
	format   string
	bounds   map[string]json.Number

	options []choice
	fields  []field
	tuple   bool   // fields are elements
	element *field // of lines, pairs and rows; of rows its path is to be completed
	upload  string // a file may be given for it, and becomes what this format says; empty: none may
	single  bool   // of lines: one line alone is no list
	keyed   bool   // of rows: each has a key
	offered bool   // a function of the module offers values for it
}

// choice is one of the values of an enumeration.
type choice struct {
	key   string // in forms
	label string
	value []byte
}

const (
	maxFields  = 200 // of one form; what is beyond is asked for as JSON
	maxNesting = 4   // groups, lists and dicts within each other
	fewChoices = 4   // that are shown side by side
	maxMany    = 20  // that are shown to choose some of
	prefix     = "kw."
)

// New makes the form of a function of m. It fails where the schema of a parameter
// cannot be read, which is no matter of what the module says.
func New(m *distro.Module, f distro.Function, opts Options) (*Form, error) {
	documented, doc := signature.Documented(f)
	fm := &Form{opts: opts}
	b := &builder{left: maxFields, paths: opts.Kept > 0}
	for i, p := range documented.Parameters {
		s, err := readSchema(signature.Parameter(p, m.Types...))
		if err != nil {
			return nil, err
		}
		source := ""
		if p.Default != nil && s.standard == nil {
			source = *p.Default
		}
		fd := b.parameter(p, s, source)
		fd.required = p.Default == nil && f.Binding() && p.Kind != distro.VarPositional && p.Kind != distro.VarKeyword
		fd.typ = f.Parameters[i].Annotation
		if said := doc.Parameters[p.Name]; said.Text != "" {
			fd.doc = said.Text
		}
		if offering, ok := m.OffersOptions(p.Name); ok && offering.Name != f.Name {
			fd.offer()
		}
		fm.fields = append(fm.fields, fd)
	}
	if !f.Binding() && !slices.ContainsFunc(f.Parameters, func(p distro.Parameter) bool { return p.Kind == distro.VarKeyword }) {
		fm.fields = append(fm.fields, field{
			path: prefix + "**", name: "**", kind: distro.VarKeyword, control: controlPairs, element: &field{control: controlAny},
		})
	}
	return fm, nil
}

// builder makes fields, so many at most.
type builder struct {
	left  int
	paths bool
}

func (b *builder) parameter(p distro.Parameter, s schema, source string) field {
	each := s
	switch p.Kind {
	case distro.VarPositional:
		s = schema{types: []string{"array"}, items: &each}
	case distro.VarKeyword:
		s = schema{types: []string{"object"}, values: &each}
	case distro.PositionalOnly, distro.PositionalOrKeyword, distro.KeywordOnly:
	}
	fd := b.field(prefix+p.Name, p.Name, &s, 0)
	fd.kind, fd.source = p.Kind, source
	fd.help = strings.TrimSuffix(strings.TrimSuffix(s.note, "default: "+source), "; ")
	return fd
}

// field makes the field of a schema that is so deep within others.
func (b *builder) field(path, name string, s *schema, depth int) field {
	f := field{path: path, name: name, standard: s.standard, help: s.note}
	if b.left--; b.left < 0 {
		f.control = controlJSON
		return f
	}
	list, nullable := s.alternatives()
	f.nullable = nullable
	switch len(list) {
	case 0:
		b.guess(&f, depth)
	case 1:
		b.simple(&f, &list[0], depth)
	default:
		b.mixed(&f, list, depth)
	}
	return f
}

// guess chooses by the default, of a parameter that says no type.
func (b *builder) guess(f *field, depth int) {
	f.control = controlAny
	value := bytes.TrimSpace(f.standard)
	if len(value) == 0 {
		if signature.SecretName(f.name) {
			f.control = controlSecret
		}
		return
	}
	guessed := schema{}
	switch jsonscan.KindOf(value) {
	case jsonscan.String:
		guessed.types = []string{"string"}
	case jsonscan.Number:
		guessed.types = []string{"number"}
	case jsonscan.Bool:
		guessed.types = []string{"boolean"}
	case jsonscan.List:
		guessed.types = []string{"array"}
	case jsonscan.Object:
		guessed.types = []string{"object"}
	default:
		f.nullable = true
		if signature.SecretName(f.name) {
			f.control = controlSecret
		}
		return
	}
	b.simple(f, &guessed, depth)
}

// simple chooses the control of one type.
func (b *builder) simple(f *field, s *schema, depth int) {
	f.format, f.bounds = s.format, s.bounds
	if f.help == "" {
		f.help = s.note
	}
	if len(s.enum) > 0 {
		f.control, f.options = controlChoice, choicesOf(s)
		return
	}
	switch s.kind() {
	case "string":
		f.control, f.upload = textControl(f, s.format), b.upload(s.format)
	case "integer":
		f.control = controlInteger
	case "number":
		f.control = controlNumber
		if s.format == signature.FormatSeconds {
			f.control = controlSpan
		}
	case "boolean":
		f.control = controlSwitch
		if f.nullable || f.standard == nil && f.source != "" {
			f.control, f.options = controlChoice, []choice{{"true", "", []byte("true")}, {"false", "", []byte("false")}}
		}
	case "array":
		b.list(f, s, depth)
	case "object":
		b.object(f, s, depth)
	default:
		f.control = controlAny
	}
}

// textControl is how text of a format is asked for.
func textControl(f *field, format string) control {
	switch format {
	case "date":
		return controlDate
	case "date-time":
		return controlMoment
	case "time":
		return controlTime
	case signature.FormatSecret:
		return controlSecret
	case signature.FormatBytes:
		return controlLong
	}
	switch {
	case signature.SecretName(f.name):
		return controlSecret
	case format == "" && (longName(f.name) || longText(f.standard)):
		return controlLong
	}
	return controlText
}

func (b *builder) list(f *field, s *schema, depth int) {
	if s.exact {
		b.positions(f, s, depth)
		return
	}
	open := schema{}
	items := s.items
	if items == nil {
		items = &open
	}
	element := b.field(f.path, f.name, items, depth+1)
	element.help, element.required = "", true
	switch {
	case element.control == controlChoice && len(element.options) <= maxMany && !element.nullable:
		f.control, f.options = controlMany, element.options
	case element.scalar() && element.control != controlChoice:
		f.control, f.element = controlLines, &element
	case depth < maxNesting:
		f.control, f.element = controlRows, &element
	default:
		f.control = controlJSON
	}
}

// positions asks for each element of a tuple.
func (b *builder) positions(f *field, s *schema, depth int) {
	if depth >= maxNesting {
		f.control = controlJSON
		return
	}
	f.control, f.tuple = controlGroup, true
	for i := range s.tuple {
		name := string(rune('1' + i%9))
		if i >= 9 {
			f.control, f.tuple, f.fields = controlJSON, false, nil
			return
		}
		element := b.field(f.path+"."+name, name, &s.tuple[i], depth+1)
		element.required = true
		f.fields = append(f.fields, element)
	}
}

func (b *builder) object(f *field, s *schema, depth int) {
	switch {
	case s.record && depth < maxNesting && len(s.fields) <= b.left:
		f.control = controlGroup
		for i := range s.fields {
			inner := &s.fields[i]
			member := b.field(f.path+"."+inner.name, inner.name, &inner.schema, depth+1)
			member.required = inner.required
			f.fields = append(f.fields, member)
		}
		return
	case s.record:
		f.control = controlJSON
		return
	}
	open := schema{}
	values := s.values
	if values == nil {
		values = &open
	}
	element := b.field(f.path, f.name, values, depth+1)
	element.help, element.required = "", true
	switch {
	case element.scalar() && element.control != controlChoice:
		f.control, f.element = controlPairs, &element
	case depth < maxNesting:
		f.control, f.element, f.keyed = controlRows, &element, true
	default:
		f.control = controlJSON
	}
}

// mixed chooses the control of a value that may have one of several types.
func (b *builder) mixed(f *field, list []schema, depth int) {
	m := mixtureOf(list)
	switch {
	case len(m.arrays) == 1 && !m.other && (m.text || m.number):
		b.list(f, &m.arrays[0], depth)
		if f.single = f.control == controlLines; !f.single {
			f.control, f.element, f.options = controlAny, nil, nil
		}
	case m.text && (m.number || m.other || len(m.arrays) > 0):
		f.control = controlAny
	case m.other || len(m.arrays) > 0:
		f.control = controlJSON
	case m.number:
		f.control = controlNumber
	default:
		f.control = textControl(f, "")
		if slices.ContainsFunc(list, func(s schema) bool { return s.format == signature.FormatPath }) {
			f.upload = b.upload(signature.FormatPath)
		}
	}
}

// upload is the format of what a file becomes in place of text of a format;
// empty: none may be given.
func (b *builder) upload(format string) string {
	if format == signature.FormatBytes || format == signature.FormatPath && b.paths {
		return format
	}
	return ""
}

// mixture is what several types have among them.
type mixture struct {
	text, number, other bool
	arrays              []schema
}

func mixtureOf(list []schema) mixture {
	var m mixture
	for i := range list {
		switch kind := list[i].kind(); {
		case kind == "string", len(list[i].enum) > 0 && onlyText(list[i].enum):
			m.text = true
		case kind == "integer", kind == "number":
			m.number = true
		case kind == "array" && !list[i].exact:
			m.arrays = append(m.arrays, list[i])
		default:
			m.other = true
		}
	}
	return m
}

func onlyText(values [][]byte) bool {
	return !slices.ContainsFunc(values, func(v []byte) bool { return v[0] != '"' })
}

// scalar reports whether a value is asked for in one line of text.
func (f *field) scalar() bool {
	switch f.control {
	case controlText, controlInteger, controlNumber, controlDate, controlMoment, controlTime, controlSpan, controlChoice, controlAny,
		controlSwitch, controlSecret, controlLong:
		return true
	}
	return false
}

// choicesOf are the values of an enumeration. Text stands for itself, unless
// another value looks like it.
func choicesOf(s *schema) []choice {
	list := make([]choice, len(s.enum))
	seen := map[string]int{}
	for i, value := range s.enum {
		c := choice{key: string(value), value: value}
		if value[0] == '"' {
			c.key = jsonscan.Text(value)
		}
		c.label = c.key
		if len(s.names) == len(s.enum) && value[0] != '"' {
			c.label = s.names[i] + " (" + c.key + ")"
		}
		seen[c.key]++
		list[i] = c
	}
	for i := range list {
		if key := list[i].key; seen[key] > 1 || key == "" || key == "null" {
			list[i].key = string(list[i].value)
		}
	}
	return list
}

// longName reports whether a parameter holds text of more than a line.
func longName(name string) bool {
	parts := signature.Words(name)
	for _, short := range []string{"path", "arquivo", "caminho", "file", "filename", "pasta", "dir", "url", "id", "tipo", "type", "name", "nome", "key"} {
		if slices.Contains(parts, short) {
			return false
		}
	}
	return slices.ContainsFunc(parts, func(w string) bool {
		return slices.Contains([]string{
			"text", "texto", "mensagem", "message", "body", "corpo", "sql", "query", "consulta", "html", "xml", "json", "descricao", "descrição",
			"description", "observacao", "observação", "observacoes", "notes", "template", "prompt", "comentario", "comment",
			"content", "conteudo", "script", "payload", "markdown", "yaml",
		}, w)
	})
}

// longText reports whether a default needs more than a line.
func longText(standard []byte) bool {
	if len(standard) == 0 || standard[0] != '"' {
		return false
	}
	text := jsonscan.Text(standard)
	return strings.Contains(text, "\n") || len(text) > 80
}
