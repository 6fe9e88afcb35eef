package service

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// typing makes the values that the signature of a function asks for of JSON. It
// imports nothing: classes of the function's module go into the pickle by name,
// and are called where the job runs.
type typing struct {
	module     string
	plan       *signature.Plan
	positional []signature.Type
	rest       signature.Type // of *args
	named      map[string]signature.Type
	others     signature.Type // of **kwargs

	steps int // that may still be taken: unions of classes that hold each other could take very many
	room  int // bytes that references to classes may still take in the pickle
}

// maxReferences bounds what references to classes take in a pickle, in bytes:
// short JSON makes long ones.
const maxReferences = 64 << 20

// begin gives the values of so many bytes of JSON their bounds.
func (y *typing) begin(size int) { y.steps, y.room = 64+16*size, maxReferences }

// newTyping reads the signature of a function. What it does not annotate its
// docstring may tell, as in forms.
func newTyping(t target) *typing {
	y := &typing{module: t.module, plan: signature.NewPlan(t.types), named: map[string]signature.Type{}}
	documented, _ := signature.Documented(t.function)
	for _, p := range documented.Parameters {
		typ := y.plan.Parameter(p)
		switch p.Kind {
		case distro.PositionalOnly:
			y.positional = append(y.positional, typ)
		case distro.PositionalOrKeyword:
			y.positional = append(y.positional, typ)
			y.named[p.Name] = typ
		case distro.KeywordOnly:
			y.named[p.Name] = typ
		case distro.VarPositional:
			y.rest = typ
		case distro.VarKeyword:
			y.others = typ
		}
	}
	return y
}

// at is the type of argument number i.
func (y *typing) at(i int) signature.Type {
	if i < len(y.positional) {
		return y.positional[i]
	}
	return y.rest
}

// of is the type of a keyword argument.
func (y *typing) of(name string) signature.Type {
	if t, ok := y.named[name]; ok {
		return t
	}
	return y.others
}

// call makes the values of checked arguments. A refusal names the argument.
func (y *typing) call(a arguments) (pickle.Tuple, pickle.Dict, error) {
	y.begin(len(a.args) + len(a.kwargs))
	args, kwargs := pickle.Tuple{}, pickle.Dict{}
	for text := range jsonscan.Elements(a.args) {
		v, err := y.value(y.at(len(args)), text, fmt.Sprintf("args[%d]", len(args)), MaxDepth)
		if err != nil {
			return nil, nil, err
		}
		args = append(args, v)
	}
	for name, text := range jsonscan.Members(a.kwargs) {
		v, err := y.value(y.of(name), text, keyword(name), MaxDepth)
		if err != nil {
			return nil, nil, err
		}
		kwargs = append(kwargs, pickle.Item{Key: name, Value: v})
	}
	return args, kwargs, nil
}

// keyword names a keyword argument in refusals.
func keyword(name string) string {
	const longest = 100
	switch {
	case name == "":
		return `kwargs.""`
	case len(name) > longest:
		return "kwargs." + clip(name, longest)
	}
	return "kwargs." + name
}

// clip shortens a name to so many bytes.
func clip(name string, most int) string {
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// payload is the call of a function with its arguments as typed values.
func (y *typing) payload(function string, a arguments) (distro.Payload, error) {
	args, kwargs, err := y.call(a)
	if err != nil {
		return distro.Payload{}, err
	}
	data, err := pickle.AppendCallOf(make([]byte, 0, len(a.args)+len(a.kwargs)+256), function, args, kwargs)
	if err != nil {
		return distro.Payload{}, fmt.Errorf("encode the call of %s: %w", function, err)
	}
	return distro.Payload{Serializer: distro.SerializerPickle, Data: data}, nil
}

// value makes a value of a type of a JSON text; at names it in refusals.
func (y *typing) value(t signature.Type, text []byte, at string, depth int) (any, error) {
	if depth <= 0 {
		return nil, distro.Invalid(at, "is nested more than %d levels deep", MaxDepth)
	}
	if y.steps--; y.steps < 0 {
		return nil, distro.Invalid(at, "may be of so many types that trying them takes too long")
	}
	v, err := y.valueOf(t, text, at, depth)
	switch made := v.(type) {
	case pickle.Made:
		y.room -= 48 + 2*(len(made.Module)+len(made.Name))
	case pickle.Member:
		y.room -= 48 + len(made.Module) + len(made.Class)
	}
	if y.room < 0 {
		return nil, distro.Invalid(at, "and what stands before makes more objects than a call can hold")
	}
	return v, err
}

func (y *typing) valueOf(t signature.Type, text []byte, at string, depth int) (any, error) {
	switch t.Class {
	case signature.Any:
		return pickle.JSON(text), nil
	case signature.Union:
		return y.union(t, text, at, depth)
	case signature.List, signature.Tuple, signature.Set, signature.Frozenset, signature.Deque:
		return y.sequence(t, text, at, depth)
	case signature.Dict:
		return y.dict(t, text, at, depth)
	case signature.Record, signature.Keys:
		return y.record(t, text, at, depth)
	case signature.Enum:
		for _, m := range t.Members {
			if sameJSON(text, []byte(m.Value)) {
				return pickle.Member{Module: y.module, Class: t.Name, Name: m.Name}, nil
			}
		}
		return nil, distro.Invalid(at, "must be one of the values of %s: %s", t.Name, listed(t.Members))
	case signature.Constant:
		for _, c := range t.Constants {
			if sameJSON(text, []byte(c)) {
				return pickle.JSON(c), nil
			}
		}
		return nil, distro.Invalid(at, "must be one of %s", joinedUpTo(t.Constants))
	default:
		v, ok := scalarOf(t, text)
		if !ok {
			return nil, distro.Invalid(at, "must be %s%s", wanted(t), instead(text))
		}
		return v, nil
	}
}

// instead says what came in place of a value, and repeats none of it: it may be
// a secret.
func instead(text []byte) string {
	if kind := jsonscan.KindOf(text); kind != jsonscan.String && kind != jsonscan.Number {
		return ", not " + string(kind)
	}
	return ""
}

func sameJSON(a, b []byte) bool {
	return string(jsonscan.AppendCanonical(nil, a)) == string(jsonscan.AppendCanonical(nil, b))
}

// union is a value of the first of several types that takes it. Where all but
// one are None, that one says what is wrong.
func (y *typing) union(t signature.Type, text []byte, at string, depth int) (any, error) {
	null := jsonscan.KindOf(text) == jsonscan.Null
	var refused error
	refusals := 0
	for _, choice := range sorted(t.Choices, text) {
		if choice.Class == signature.Null && !null {
			continue
		}
		v, err := y.value(choice, text, at, depth)
		if err == nil {
			return v, nil
		}
		refused = err
		refusals++
	}
	if refusals == 1 {
		return nil, refused
	}
	return nil, distro.Invalid(at, "fits none of the types that the function names")
}

// sorted are the choices in their order, but a number without a fraction is
// taken for an int where one may be given.
func sorted(choices []signature.Type, text []byte) []signature.Type {
	if !isWhole(text) {
		return choices
	}
	list := make([]signature.Type, 0, len(choices))
	for _, c := range choices {
		if c.Class == signature.Int {
			list = append(list, c)
		}
	}
	for _, c := range choices {
		if c.Class != signature.Int {
			list = append(list, c)
		}
	}
	return list
}

// sequence is a list, tuple, set, frozenset or deque.
func (y *typing) sequence(t signature.Type, text []byte, at string, depth int) (any, error) {
	if jsonscan.KindOf(text) != jsonscan.List {
		return nil, distro.Invalid(at, "must be a list, not %s", jsonscan.KindOf(text))
	}
	items, err := y.elements(t, text, at, depth)
	if err != nil {
		return nil, err
	}
	switch t.Class {
	case signature.Tuple:
		return pickle.Tuple(items), nil
	case signature.Set:
		return pickle.Set(items), nil
	case signature.Frozenset:
		return pickle.Frozenset(items), nil
	case signature.Deque:
		return pickle.Made{Module: "collections", Name: "deque", Args: pickle.Tuple{items}}, nil
	default:
		return items, nil
	}
}

// elements are the values in a list, as many as a tuple must have.
func (y *typing) elements(t signature.Type, text []byte, at string, depth int) ([]any, error) {
	items := []any{}
	hashed := t.Class == signature.Set || t.Class == signature.Frozenset
	for element := range jsonscan.Elements(text) {
		where := at + "[" + strconv.Itoa(len(items)) + "]"
		typ := signature.Type{}
		switch {
		case t.Exact && len(items) == len(t.Elements):
			return nil, distro.Invalid(at, "must have %d elements, and has more", len(t.Elements))
		case t.Exact:
			typ = t.Elements[len(items)]
		case t.Items != nil:
			typ = *t.Items
		}
		v, err := y.value(typ, element, where, depth-1)
		if err != nil {
			return nil, err
		}
		if hashed && !hashable(v) {
			return nil, distro.Invalid(where, "must not be a list or an object: a set cannot hold one")
		}
		items = append(items, v)
	}
	if t.Exact && len(items) < len(t.Elements) {
		return nil, distro.Invalid(at, "must have %d elements, not %d", len(t.Elements), len(items))
	}
	return items, nil
}

// hashable reports whether Python takes a value as a key or an element of a set,
// as far as that is known here.
func hashable(v any) bool {
	switch v := v.(type) {
	case []any, pickle.Dict, pickle.Set:
		return false
	case pickle.JSON:
		kind := jsonscan.KindOf(v)
		return kind != jsonscan.List && kind != jsonscan.Object
	case pickle.Tuple:
		for _, element := range v {
			if !hashable(element) {
				return false
			}
		}
	case pickle.Made:
		return v.Name != "deque" && v.Name != "bytearray" || v.Module != "collections" && v.Module != "builtins"
	}
	return true
}

// dict is a dict. Of equal keys the last value counts, as in json.loads.
func (y *typing) dict(t signature.Type, text []byte, at string, depth int) (any, error) {
	if jsonscan.KindOf(text) != jsonscan.Object {
		return nil, distro.Invalid(at, "must be an object, not %s", jsonscan.KindOf(text))
	}
	plainKeys := t.Keys == nil || t.Keys.Class == signature.Any || t.Keys.Class == signature.Text
	if plainKeys && (t.Items == nil || t.Items.Class == signature.Any) {
		return pickle.JSON(text), nil
	}
	d := pickle.Dict{}
	for name, element := range jsonscan.Members(text) {
		where := at + "." + clip(name, maxPart)
		var key any = name
		if !plainKeys {
			var err error
			if key, err = y.key(*t.Keys, name, where, depth-1); err != nil {
				return nil, err
			}
		}
		typ := signature.Type{}
		if t.Items != nil {
			typ = *t.Items
		}
		v, err := y.value(typ, element, where, depth-1)
		if err != nil {
			return nil, err
		}
		d = append(d, pickle.Item{Key: key, Value: v})
	}
	return d, nil
}

// maxPart bounds a name within the name of an argument in refusals, in bytes.
const maxPart = 100

// key is the key that a name of JSON stands for: text, or what the text is when
// it is read as JSON, like 7.
func (y *typing) key(t signature.Type, name, at string, depth int) (any, error) {
	v, err := y.value(t, jsonText(name), at, depth)
	if err != nil && jsonscan.Check([]byte(name), 1) == nil {
		if read, ok := y.value(t, []byte(name), at, depth); ok == nil {
			v, err = read, nil
		}
	}
	switch {
	case err != nil:
		return nil, distro.Invalid(at, "is no key that fits")
	case !hashable(v):
		return nil, distro.Invalid(at, "is a list or an object, which is no key of a dict")
	}
	return v, nil
}

// record is an instance of a class of the module, or a dict with its keys.
func (y *typing) record(t signature.Type, text []byte, at string, depth int) (any, error) {
	if jsonscan.KindOf(text) != jsonscan.Object {
		return nil, distro.Invalid(at, "must be an object with the fields of %s, not %s", t.Name, jsonscan.KindOf(text))
	}
	fields := y.plan.Fields(t.Name)
	d, given := pickle.Dict{}, map[string]bool{}
	for name, element := range jsonscan.Members(text) {
		where := at + "." + clip(name, maxPart)
		typ, known := fieldType(fields, name)
		if !known && t.Class == signature.Record {
			return nil, distro.Invalid(where, "%s has no such field", t.Name)
		}
		if given[name] {
			return nil, distro.Invalid(where, "is given twice")
		}
		given[name] = true
		v, err := y.value(typ, element, where, depth-1)
		if err != nil {
			return nil, err
		}
		d = append(d, pickle.Item{Key: name, Value: v})
	}
	for _, f := range fields {
		if f.Required && !given[f.Name] {
			return nil, distro.Invalid(at+"."+f.Name, "%s"+needsField, t.Name)
		}
	}
	if t.Class == signature.Keys {
		return d, nil
	}
	return pickle.Made{Module: y.module, Name: t.Name, Kwargs: d}, nil
}

// needsField ends the refusal of a record that lacks a field.
const needsField = " needs this field"

func fieldType(fields []signature.Field, name string) (signature.Type, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f.Type, true
		}
	}
	return signature.Type{}, false
}
