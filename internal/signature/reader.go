package signature

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// Bounds of what is read of the types that a module declares: these name each
// other, and themselves.
const (
	maxRecords = 3    // classes within classes
	maxNodes   = 2000 // of one schema
)

// reader says what annotations of a module mean. It knows the types that the
// module declares.
type reader struct {
	types   map[string]distro.Type
	budget  int  // annotations that are still read
	records int  // classes that are being read
	lazy    bool // the fields of classes are left out
}

func newReader(types []distro.Type) *reader {
	r := &reader{types: make(map[string]distro.Type, len(types)), budget: maxNodes}
	for _, t := range types {
		r.types[t.Name] = t
	}
	return r
}

// annotated is what the source text of an annotation says; nothing where it is
// none that is known.
func (r *reader) annotated(source string) node { return r.reading(source, maxDepth) }

// reading is annotated for a text within others: a forward reference.
func (r *reader) reading(source string, depth int) node {
	if r.budget--; r.budget < 0 || depth == 0 {
		return node{}
	}
	e, err := parse(source)
	if err != nil {
		return node{}
	}
	return r.meaning(e, depth-1)
}

func (r *reader) meaning(e expression, depth int) node {
	switch e.kind {
	case kindName:
		if t, ok := r.types[e.text]; ok {
			return r.declared(t, depth)
		}
		return named(e.text)
	case kindText:
		return r.reading(e.text, depth)
	case kindUnion:
		return union(r.meanings(e.items, depth))
	case kindSubscript:
		if e.items[0].kind == kindName {
			return r.generic(known(e.items[0].text), arguments(e), depth)
		}
	case kindCall:
		return r.constrained(e, depth)
	default:
	}
	return node{}
}

// arguments are what stands in the brackets of a subscript: X[A, B] and
// X[(A, B)] are the same to Python.
func arguments(e expression) []expression {
	if len(e.items) == 2 && e.items[1].kind == kindTuple && len(e.items[1].items) > 0 {
		return e.items[1].items
	}
	return e.items[1:]
}

func (r *reader) meanings(items []expression, depth int) []node {
	all := make([]node, len(items))
	for i, e := range items {
		all[i] = r.meaning(e, depth)
	}
	return all
}

// declared is what a type of the module says.
func (r *reader) declared(t distro.Type, depth int) node {
	switch t.Kind {
	case distro.Alias:
		return r.reading(t.Of, depth)
	case distro.Enumeration:
		return enumeration(t)
	case distro.Record:
		n := node{types: []string{"object"}, class: Keys, of: t.Name}
		if t.Class {
			n.class = Record
		}
		if r.records == maxRecords || r.lazy {
			return n
		}
		r.records++
		defer func() { r.records-- }()
		n.record = true
		n.note, _, _ = strings.Cut(t.Doc, "\n")
		for _, f := range t.Fields {
			n.fields = append(n.fields, r.field(f, depth))
		}
		return n
	}
	return node{}
}

// enumeration is what a class of named values says. One whose values are no
// literals takes any value.
func enumeration(t distro.Type) node {
	n := node{class: Enum, of: t.Name}
	for _, m := range t.Fields {
		if m.Default == nil {
			return node{}
		}
		value, ok := literal(*m.Default)
		if !ok {
			return node{}
		}
		if !slices.Contains(n.enum, value) { // else it is another name of a member
			n.enum, n.names = append(n.enum, value), append(n.names, m.Name)
			n.members = append(n.members, Member{m.Name, value})
		}
	}
	return n
}

func (r *reader) field(p distro.Parameter, depth int) property {
	f := property{name: p.Name, node: r.reading(p.Annotation, depth), required: p.Default == nil}
	if p.Default == nil {
		return f
	}
	if value, ok := r.standard(*p.Default); ok {
		f.node = f.node.widened(value)
		f.standard = value
	}
	return f
}

// standard is the JSON text of a default: of a literal, of a member of an
// enumeration, and of a value that JSON has no word for, as an argument stands
// for it.
func (r *reader) standard(source string) (string, bool) {
	e, err := parse(source)
	if err != nil {
		return "", false
	}
	if value, ok := constant(e); ok {
		return value, true
	}
	switch e.kind {
	case kindName:
		class, member, _ := strings.Cut(strings.TrimSuffix(e.text, ".value"), ".")
		t := r.types[class]
		i := slices.IndexFunc(t.Fields, func(p distro.Parameter) bool { return p.Name == member })
		if t.Kind == distro.Enumeration && i >= 0 && t.Fields[i].Default != nil {
			return literal(*t.Fields[i].Default)
		}
	case kindCall:
		return made(e)
	default:
	}
	return "", false
}

// generic is what name[arguments] says.
func (r *reader) generic(short string, arguments []expression, depth int) node {
	switch {
	case len(arguments) == 0:
		return named(short)
	case short == "Literal":
		return constants(arguments)
	case short == "Optional":
		return union([]node{r.meaning(arguments[0], depth), {types: []string{"null"}, class: Null}})
	case short == "Union":
		return union(r.meanings(arguments, depth))
	case short == "Annotated":
		n := r.meaning(arguments[0], depth)
		for _, e := range arguments[1:] {
			annotate(&n, e)
		}
		return n
	case short == "Final", short == "Required", short == "NotRequired", short == "ReadOnly", short == "InitVar":
		return r.meaning(arguments[0], depth)
	case short == "tuple", short == "Tuple":
		return r.tuple(arguments, depth)
	case isList(short):
		items := r.meaning(arguments[0], depth)
		n := node{types: []string{"array"}, items: &items}
		n.class, n.of = classOf(short)
		return n
	case isDict(short) && len(arguments) == 2:
		keys, values := r.meaning(arguments[0], depth), r.meaning(arguments[1], depth)
		return node{types: []string{"object"}, values: &values, class: Dict, keys: &keys}
	}
	return node{}
}

// tuple is what tuple[arguments] says.
func (r *reader) tuple(arguments []expression, depth int) node {
	last := arguments[len(arguments)-1]
	switch {
	case last.kind == kindEllipsis && len(arguments) == 2:
		items := r.meaning(arguments[0], depth)
		return node{types: []string{"array"}, items: &items, class: Tuple}
	case slices.ContainsFunc(arguments, func(e expression) bool { return e.kind == kindEllipsis || e.kind == kindStarred }):
		return node{types: []string{"array"}, class: Tuple}
	case len(arguments) == 1 && last.kind == kindTuple && len(last.items) == 0:
		return node{types: []string{"array"}, exact: true, class: Tuple}
	}
	return node{types: []string{"array"}, tuple: r.meanings(arguments, depth), exact: true, class: Tuple}
}

// constrained is what conint(ge=1) and its like say.
func (r *reader) constrained(e expression, depth int) node {
	var n node
	switch name := called(e); name {
	case "conint":
		n = named("int")
	case "confloat":
		n = named("float")
	case "condecimal":
		n = named("Decimal")
	case "constr":
		n = named("str")
	case "conlist", "conset":
		n = named(name[3:])
		if len(e.items) > 1 && e.items[1].kind != kindKeyword {
			items := r.meaning(e.items[1], depth)
			n.items = &items
		}
	default:
		return n
	}
	annotate(&n, e)
	return n
}

// called is the last part of the name of what a call calls.
func called(e expression) string {
	if e.kind != kindCall || e.items[0].kind != kindName {
		return ""
	}
	name := e.items[0].text
	return name[strings.LastIndexByte(name, '.')+1:]
}

// annotate adds what stands beside a type in Annotated: bounds as pydantic,
// annotated_types, msgspec and others write them, and texts.
func annotate(n *node, e expression) {
	if e.kind == kindText {
		n.note = cmp.Or(n.note, e.text)
		return
	}
	name := called(e)
	for _, a := range e.items[min(len(e.items), 1):] {
		switch {
		case a.kind == kindKeyword && (a.text == "description" || a.text == "help") && a.items[0].kind == kindText:
			n.note = cmp.Or(n.note, a.items[0].text)
		case a.kind == kindKeyword:
			bound(n, a.text, a.items[0])
		case name == "Doc" && a.kind == kindText:
			n.note = cmp.Or(n.note, a.text)
		case slices.Contains([]string{"Ge", "Gt", "Le", "Lt", "MinLen", "MaxLen"}, name):
			bound(n, strings.ToLower(name), a)
		}
	}
}

// bound adds one bound, if the type can have it.
func bound(n *node, word string, e expression) {
	value, ok := constant(e)
	if !ok && e.kind == kindCall {
		value, ok = made(e)
	}
	if !ok || kindOf(value) != "integer" && kindOf(value) != "number" {
		return
	}
	name := n.boundName(word)
	counts := strings.HasSuffix(name, "Length") || strings.HasSuffix(name, "Items")
	if name == "" || counts && (value[0] == '-' || kindOf(value) != "integer") {
		return
	}
	if !slices.ContainsFunc(n.bounds, func(m member) bool { return m.name == name }) {
		n.bounds = append(n.bounds, member{name, json.RawMessage(value)})
	}
}

// boundName is what JSON Schema calls a bound of the type; empty: the type has
// none of that name.
func (n node) boundName(word string) string {
	numeric := slices.Contains(n.types, "integer") || slices.Contains(n.types, "number")
	switch word {
	case "ge", "gt", "le", "lt":
		if numeric {
			return map[string]string{"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}[word]
		}
	case "min_length", "max_length", "min_items", "max_items", "minlen", "maxlen":
		switch {
		case slices.Contains(n.types, "array") && !n.exact:
			return word[:3] + "Items"
		case slices.Contains(n.types, "string") && !numeric:
			return word[:3] + "Length"
		}
	}
	return ""
}
