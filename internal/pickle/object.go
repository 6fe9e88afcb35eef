package pickle

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// object writes what a call made: types of the standard library as Python
// shows them, all else symbolically.
func (p *printer) object(o *object) {
	if owner, name, ok := o.attribute(); ok {
		p.attribute(o, owner, name)
		return
	}
	if class, kwargs, ok := o.constructed(); ok {
		p.print(readable(class.name))
		p.call(&object{kwargs: kwargs})
		return
	}
	class, ok := asGlobal(o.class)
	if !ok {
		p.print("<")
		p.node(o.class)
		p.contents(o)
		return
	}
	if p.builtin(class, o) || p.moment(class, o) || p.collection(class, o) || p.value(class, o) {
		return
	}
	if isException(class) && len(o.items) == 0 && o.members == nil {
		p.print(readable(class.last()))
		p.call(o)
		return
	}
	p.print("<" + class.shown())
	p.contents(o)
}

// constructed tells which class an object is made of with keyword arguments, as
// Made is written.
func (o *object) constructed() (class global, kwargs *mapping, ok bool) {
	partial, isObject := o.class.(*object)
	if !isObject || partial.class != (global{"functools", "partial"}) || len(o.args)+len(o.items) > 0 || o.members != nil || o.state != nil {
		return global{}, nil, false
	}
	s, isSequence := partial.state.(*sequence)
	if !isSequence || len(s.items) != 4 || len(partial.args) != 1 || partial.args[0] != s.items[0] || s.items[3] != nil {
		return global{}, nil, false
	}
	class, isGlobal := asGlobal(s.items[0])
	args, isArgs := s.items[1].(*sequence)
	kwargs, isMapping := s.items[2].(*mapping)
	return class, kwargs, isGlobal && isArgs && isMapping && len(args.items) == 0
}

// within is what an object in itself is.
func (o *object) within() string {
	if o.class == (global{"collections", "deque"}) {
		return "[...]"
	}
	return "..."
}

// contents writes what an object was made of and given, and closes it.
func (p *printer) contents(o *object) {
	hasState := o.state != nil || o.items != nil || o.members != nil
	if len(o.args) > 0 || o.kwargs != nil || !o.created && !hasState {
		p.call(o)
	}
	if o.items != nil {
		p.print(" [")
		p.list(o.items)
		p.print("]")
	}
	if o.members != nil {
		p.print(" ")
		p.mapping(o.members)
	}
	p.state(o)
	if o.created && !hasState && len(o.args) == 0 && o.kwargs == nil {
		p.print(" {}")
	}
	p.print(">")
}

// state writes the attributes of an object, those in slots too.
func (p *printer) state(o *object) {
	if o.state == nil {
		return
	}
	p.print(" ")
	s, ok := o.state.(*sequence)
	if !ok || s.kind != tuple || len(s.items) != 2 {
		p.node(o.state)
		return
	}
	slots, ok := s.items[1].(*mapping)
	attributes, isDict := s.items[0].(*mapping)
	if !ok || !isDict && s.items[0] != nil {
		p.node(o.state)
		return
	}
	p.print("{")
	written := 0
	if isDict {
		p.members(attributes, 0)
		written = len(attributes.entries)
	}
	p.members(slots, written)
	p.print("}")
}

// call writes the arguments of a call.
func (p *printer) call(o *object) {
	p.print("(")
	p.list(o.args)
	if o.kwargs != nil {
		for i, e := range o.kwargs.entries {
			if p.full() {
				break
			}
			if i+len(o.args) > 0 {
				p.print(", ")
			}
			if name, ok := e.key.(text); ok {
				p.print(readable(string(name)))
			} else {
				p.node(e.key)
			}
			p.print("=")
			p.node(e.value)
		}
	}
	p.print(")")
}

// attribute writes an attribute of a class, or a method that is bound to an
// instance.
func (p *printer) attribute(o *object, owner any, name string) {
	if g, ok := asGlobal(o); ok {
		p.print("<" + g.shown() + ">")
		return
	}
	class := typeName(owner)
	if instance, ok := owner.(*object); ok {
		if g, ok := asGlobal(instance.class); ok {
			class = readable(g.name)
		}
	}
	p.print("<bound method " + class + "." + readable(name) + " of ")
	p.node(owner)
	p.print(">")
}

// global writes a class or function. A pickle does not tell which it is, so
// names decide as people write them: classes begin with a capital letter.
func (p *printer) global(g global) {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(g.last(), "_"))
	switch {
	case g == global{"builtins", "Ellipsis"} || g == global{"builtins", "NotImplemented"}:
		p.print(g.name)
	case isBuiltinFunction(g):
		p.print("<built-in function " + g.name + ">")
	case g.module == "builtins" || unicode.IsUpper(first) || isLowerClass(g.path()):
		p.print("<class '" + g.shown() + "'>")
	default:
		p.print("<function " + g.shown() + ">")
	}
}

func isBuiltinFunction(g global) bool {
	switch g.name {
	case "abs", "aiter", "all", "anext", "any", "ascii", "bin", "breakpoint", "callable", "chr", "compile", "delattr",
		"dir", "divmod", "eval", "exec", "format", "getattr", "globals", "hasattr", "hash", "hex", "id", "input",
		"isinstance", "issubclass", "iter", "len", "locals", "max", "min", "next", "oct", "open", "ord", "pow", "print",
		"repr", "round", "setattr", "sorted", "sum", "vars":
		return g.module == "builtins"
	}
	return false
}

// isLowerClass knows the classes of the standard library that people pass and
// that do not begin with a capital letter.
func isLowerClass(path string) bool {
	switch path {
	case "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone", "datetime.tzinfo",
		"collections.deque", "collections.defaultdict", "array.array", "functools.partial":
		return true
	}
	return false
}

func isException(g global) bool {
	name := g.last()
	return strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception") || strings.HasSuffix(name, "Warning") ||
		g.module == "builtins" && slices.Contains([]string{
			"StopIteration", "StopAsyncIteration", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "ExceptionGroup", "BaseExceptionGroup",
		}, name)
}

// The methods below write the instances of some classes as Python does. They
// return false, having written nothing, for other classes and for arguments
// that do not look as CPython pickles them.

func (p *printer) builtin(class global, o *object) bool {
	if class.module != "builtins" {
		return false
	}
	switch class.name {
	case "set", "frozenset":
		return p.builtinSet(o)
	case "bytearray":
		return p.byteArray(o.args)
	case "complex":
		return p.complex(o.args)
	case "range", "slice":
		if len(o.args) != 3 {
			return false
		}
		args := o.args
		if class.name == "range" && args[2] == int64(1) {
			args = args[:2]
		}
		p.print(class.name)
		p.call(&object{args: args})
		return true
	case "type":
		if len(o.args) != 1 || o.args[0] != nil {
			return false
		}
		p.print("<class 'NoneType'>")
		return true
	}
	return false
}

func (p *printer) builtinSet(o *object) bool {
	s, ok := o.asSet()
	if ok {
		p.sequence(s)
	}
	return ok
}

// asSet is the set or frozenset that a call of its class makes, as pickles before
// protocol 4 have it; ok is false where the object is none.
func (o *object) asSet() (s *sequence, ok bool) {
	s = &sequence{kind: set, items: o.items}
	switch o.class {
	case global{"builtins", "set"}:
	case global{"builtins", "frozenset"}:
		s.kind = frozenset
	default:
		return nil, false
	}
	if len(o.args) > 0 {
		items, ok := o.args[0].(*sequence)
		if !ok || len(o.args) > 1 {
			return nil, false
		}
		s.items = items.items
	}
	return s, true
}

func (p *printer) byteArray(args []any) bool {
	var octets raw
	if len(args) > 0 {
		s, ok := octetsOf(args[0], p.max+1)
		if !ok {
			return false
		}
		octets = raw(s)
	}
	p.print("bytearray(")
	p.node(octets)
	p.print(")")
	return true
}

// octetsOf are the first bytes, at most limit, that a node is: of bytes, or of
// the text that old protocols have for them.
func octetsOf(node any, limit int) (string, bool) {
	switch v := node.(type) {
	case raw:
		return string(v[:min(len(v), limit)]), true
	case text:
		return latin1(string(v), limit)
	}
	return "", false
}

func (p *printer) complex(args []any) bool {
	if len(args) != 2 {
		return false
	}
	re, ok := args[0].(float64)
	im, isFloat := args[1].(float64)
	if !ok || !isFloat {
		return false
	}
	part := func(v float64) string {
		return strings.TrimSuffix(string(appendPythonFloat(nil, v)), ".0")
	}
	if re == 0 && !math.Signbit(re) {
		p.print(part(im) + "j")
		return true
	}
	sign := "+"
	if math.Signbit(im) && !math.IsNaN(im) {
		sign = ""
	}
	p.print("(" + part(re) + sign + part(im) + "j)")
	return true
}

func (p *printer) collection(class global, o *object) bool {
	switch class.path() {
	case "collections.OrderedDict":
		if len(o.args) > 0 {
			return false
		}
		p.orderedDict(o.members)
		return true
	case "collections.defaultdict":
		if len(o.args) > 1 {
			return false
		}
		p.defaultDict(o)
		return true
	case "collections.deque":
		return p.deque(o)
	}
	return false
}

func (p *printer) defaultDict(o *object) {
	var factory any
	if len(o.args) > 0 {
		factory = o.args[0]
	}
	members := o.members
	if members == nil {
		members = &mapping{}
	}
	p.print("defaultdict(")
	p.node(factory)
	p.print(", ")
	p.mapping(members)
	p.print(")")
}

func (p *printer) orderedDict(members *mapping) {
	p.print("OrderedDict(")
	if members != nil {
		p.print("[")
		for i, e := range members.entries {
			if p.full() {
				break
			}
			if i > 0 {
				p.print(", ")
			}
			p.print("(")
			p.list([]any{e.key, e.value})
			p.print(")")
		}
		p.print("]")
	}
	p.print(")")
}

func (p *printer) deque(o *object) bool {
	first := &sequence{}
	if len(o.args) > 0 {
		var ok bool
		if first, ok = o.args[0].(*sequence); !ok || len(o.args) > 2 {
			return false
		}
	}
	p.print("deque([")
	p.list(first.items)
	if len(first.items) > 0 && len(o.items) > 0 {
		p.print(", ")
	}
	p.list(o.items)
	p.print("]")
	if len(o.args) == 2 && o.args[1] != nil {
		p.print(", maxlen=")
		p.node(o.args[1])
	}
	p.print(")")
	return true
}

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// value writes small immutable values.
func (p *printer) value(class global, o *object) bool {
	switch class.path() {
	case "decimal.Decimal":
		return p.decimal(o.args)
	case "fractions.Fraction":
		return p.fraction(o.args)
	case "uuid.UUID":
		return p.uuid(o)
	case "zoneinfo.ZoneInfo._unpickle":
		if len(o.args) == 0 {
			return false
		}
		p.print("zoneinfo.ZoneInfo(key=")
		p.node(o.args[0])
		p.print(")")
		return true
	}
	if class.module == "pathlib" || class.module == "pathlib._local" {
		return p.filePath(class.name, o.args)
	}
	return false
}

func (p *printer) decimal(args []any) bool {
	if len(args) != 1 {
		return false
	}
	digits, ok := args[0].(text)
	if ok {
		p.print("Decimal(")
		p.node(digits)
		p.print(")")
	}
	return ok
}

// fraction takes two integers, or the text that older Pythons wrote.
func (p *printer) fraction(args []any) bool {
	if len(args) == 2 {
		p.print("Fraction(")
		p.list(args)
		p.print(")")
		return true
	}
	if len(args) != 1 {
		return false
	}
	t, ok := args[0].(text)
	if !ok {
		return false
	}
	over, under, found := strings.Cut(string(t), "/")
	if !found {
		under = "1"
	}
	p.print("Fraction(" + readable(over) + ", " + readable(under) + ")")
	return true
}

func (p *printer) uuid(o *object) bool {
	if len(o.args) == 1 && o.state == nil {
		digits, ok := o.args[0].(text)
		if ok = ok && uuidPattern.MatchString(string(digits)); ok {
			p.print("UUID('" + string(digits) + "')")
		}
		return ok
	}
	m, ok := o.state.(*mapping)
	if !ok {
		return false
	}
	number, _ := m.get("int")
	var v *big.Int
	switch n := number.(type) {
	case int64:
		v = big.NewInt(n)
	case *big.Int:
		v = n
	}
	if v == nil || v.Sign() < 0 || v.BitLen() > 128 {
		return false
	}
	digits := hex.EncodeToString(v.FillBytes(make([]byte, 16)))
	p.print("UUID('" + strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-") + "')")
	return true
}

func (p *printer) filePath(class string, args []any) bool {
	switch class {
	case "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath":
	default:
		return false
	}
	windows := strings.Contains(class, "Windows")
	var name []byte
	for i, arg := range args {
		part, ok := arg.(text)
		if !ok {
			return false
		}
		drive := windows && i == 1 && bytes.HasSuffix(name, []byte(":"))
		if i > 0 && !drive && !bytes.HasSuffix(name, []byte("/")) {
			name = append(name, '/')
		}
		if windows {
			part = text(strings.ReplaceAll(string(part), `\`, "/"))
		}
		if name = append(name, part...); len(name) > p.max {
			break
		}
	}
	if len(name) == 0 {
		name = []byte(".")
	}
	p.print(class + "(")
	p.text(string(name))
	p.print(")")
	return true
}
