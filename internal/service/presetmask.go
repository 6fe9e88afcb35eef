package service

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// unmasked are the arguments of a call without what masked fields hold, and the
// names of the parameters that lack something for it. What stands by position
// behind an argument that is left out is given by name, where it has one.
func (y *typing) unmasked(t target, a arguments) (args, kwargs []byte, omitted []string) {
	var list, members [][]byte
	n, moved := 0, false
	for value := range jsonscan.Elements(a.args) {
		name := positionName(t.function, n)
		open, whole := y.open(name, y.at(n), value, MaxDepth)
		switch {
		case open == nil:
			moved = true
		case !moved:
			list = append(list, open)
		case named(t.function, name):
			members = append(members, slices.Concat(jsonText(name), []byte(":"), open))
		default:
			whole = false
		}
		if !whole {
			omitted = append(omitted, name)
		}
		n++
	}
	for name, value := range jsonscan.Members(a.kwargs) {
		open, whole := y.open(name, y.of(name), value, MaxDepth)
		if open != nil {
			members = append(members, slices.Concat(jsonText(name), []byte(":"), open))
		}
		if !whole {
			omitted = append(omitted, name)
		}
	}
	return slices.Concat([]byte("["), bytes.Join(list, []byte(",")), []byte("]")),
		slices.Concat([]byte("{"), bytes.Join(members, []byte(",")), []byte("}")), omitted
}

// open is a value without what is masked in it, nil where all of it is; whole says
// that nothing is.
func (y *typing) open(name string, t signature.Type, value []byte, depth int) (open []byte, whole bool) {
	kind := jsonscan.KindOf(value)
	if depth == 0 || masked(name, t) && kind != jsonscan.Null && string(value) != `""` {
		return nil, false
	}
	whole = true
	var parts [][]byte
	switch kind {
	case jsonscan.Object:
		for key, element := range jsonscan.Members(value) {
			part, all := y.open(key, y.member(t, key), element, depth-1)
			if part != nil {
				parts = append(parts, slices.Concat(jsonText(key), []byte(":"), part))
			}
			whole = whole && all
		}
		if !whole {
			return slices.Concat([]byte("{"), bytes.Join(parts, []byte(",")), []byte("}")), false
		}
	case jsonscan.List:
		i := 0
		for element := range jsonscan.Elements(value) {
			part, all := y.open("", elementOf(t, i), element, depth-1)
			if part == nil {
				return nil, false // what is left of a list without an element is another list
			}
			parts, whole = append(parts, part), whole && all
			i++
		}
		if !whole {
			return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]")), false
		}
	}
	return value, whole
}

// alternatives are the types that a value of t may have.
func alternatives(t signature.Type) []signature.Type {
	if t.Class == signature.Union {
		return t.Choices
	}
	return []signature.Type{t}
}

// masked reports whether a form hides what is entered for a value: by its type, or
// by its name where it may be text.
func masked(name string, t signature.Type) bool {
	secret := signature.SecretName(name)
	return slices.ContainsFunc(alternatives(t), func(t signature.Type) bool {
		switch t.Class {
		case signature.Secret:
			return true
		case signature.Int, signature.Float, signature.Bool, signature.Null, signature.Decimal, signature.Date, signature.DateTime, signature.Time,
			signature.Timedelta, signature.UUID, signature.Enum, signature.Constant:
			return false
		}
		return secret
	})
}

// member is the type of a member of an object.
func (y *typing) member(t signature.Type, name string) signature.Type {
	for _, choice := range alternatives(t) {
		switch choice.Class {
		case signature.Record, signature.Keys:
			if typ, ok := fieldType(y.plan.Fields(choice.Name), name); ok {
				return typ
			}
		case signature.Dict:
			if choice.Items != nil {
				return *choice.Items
			}
		}
	}
	return signature.Type{}
}

// elementOf is the type of element i of a list.
func elementOf(t signature.Type, i int) signature.Type {
	for _, choice := range alternatives(t) {
		switch {
		case choice.Exact && i < len(choice.Elements):
			return choice.Elements[i]
		case choice.Class != signature.Dict && choice.Items != nil:
			return *choice.Items
		}
	}
	return signature.Type{}
}

// positionName is the name of what f takes at position i.
func positionName(f distro.Function, i int) string {
	n := 0
	for _, p := range f.Parameters {
		switch p.Kind {
		case distro.PositionalOnly, distro.PositionalOrKeyword:
			if n == i {
				return p.Name
			}
			n++
		case distro.VarPositional:
			return p.Name
		case distro.KeywordOnly, distro.VarKeyword:
		}
	}
	return fmt.Sprintf("args[%d]", i)
}

// fits reports whether a value is one of a type, but for fields of records that it
// lacks: masked ones are not kept, and who fills in the rest is shown the others.
func (y *typing) fits(t signature.Type, value []byte) bool {
	y.begin(len(value))
	_, err := y.value(t, value, "", MaxDepth)
	if err == nil {
		return true
	}
	e, ok := errors.AsType[*distro.Error](err)
	return ok && strings.HasSuffix(e.Message, needsField)
}
