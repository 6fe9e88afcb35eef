package pickle

import (
	"fmt"
	"strings"
)

// JSON is written as the value that json.loads makes of the text, as AppendJSON
// says.
type JSON []byte

// Set is written as a Python set, which refuses elements that it cannot hash when
// the pickle is read.
type Set []any

// Frozenset is written as a frozenset, of whose elements the same is true.
type Frozenset []any

// Made is written as the value that calling a class or function makes, when the
// pickle is read: Module.Name(*Args, **Kwargs). Keyword arguments need
// functools.partial in the pickle, as protocol 3 has no call with names.
type Made struct {
	Module, Name string
	Args         Tuple
	Kwargs       Dict
}

// Member is written as an attribute of a class, as a member of an enumeration
// is: Module.Class.Name.
type Member struct{ Module, Class, Name string }

// AppendCallOf appends the pickle of RQ's call tuple (function, None, args,
// kwargs) to dst. Append says which values are taken; what is refused leaves dst
// as it was.
func AppendCallOf(dst []byte, function string, args Tuple, kwargs Dict) ([]byte, error) {
	if args == nil {
		args = Tuple{}
	}
	out, err := appendValue(append(dst, opProto, protocol), Tuple{function, nil, args, kwargs}, MaxDepth)
	if err != nil {
		return dst, fmt.Errorf("write the call of %q: %w", function, err)
	}
	return append(out, opStop), nil
}

// appendMade writes the values of this file; ok is false for others.
func appendMade(dst []byte, v any, depth int) (out []byte, ok bool, err error) {
	if depth == 0 {
		return dst, true, errDepth
	}
	switch v := v.(type) {
	case JSON:
		out, err = appendJSON(dst, v, anything)
	case Set:
		out, err = appendCalled(dst, "builtins", "set", Tuple{[]any(v)}, depth)
	case Frozenset:
		out, err = appendCalled(dst, "builtins", "frozenset", Tuple{[]any(v)}, depth)
	case Member:
		if out, err = appendGlobal(dst, "builtins", "getattr"); err == nil {
			out, err = appendGlobal(out, v.Module, v.Class)
		}
		if err == nil {
			out, err = appendString(out, v.Name)
		}
		out = append(out, opTuple2, opReduce)
	case Made:
		if len(v.Kwargs) > 0 {
			out, err = appendNamed(dst, v, depth)
		} else {
			out, err = appendCalled(dst, v.Module, v.Name, v.Args, depth)
		}
	default:
		return dst, false, nil
	}
	return out, true, err
}

// appendCalled writes a call with arguments by position.
func appendCalled(dst []byte, module, name string, args Tuple, depth int) ([]byte, error) {
	dst, err := appendGlobal(dst, module, name)
	if err != nil {
		return dst, err
	}
	if dst, err = appendContainer(dst, args, depth-1); err != nil {
		return dst, err
	}
	return append(dst, opReduce), nil
}

// appendNamed writes a call with keyword arguments: that of a partial, which
// is given them as its state.
func appendNamed(dst []byte, v Made, depth int) ([]byte, error) {
	dst, err := appendGlobal(dst, "functools", "partial")
	if err != nil {
		return dst, err
	}
	if dst, err = appendGlobal(dst, v.Module, v.Name); err != nil {
		return dst, err
	}
	dst = append(dst, opTuple1, opReduce, opMark)
	if dst, err = appendGlobal(dst, v.Module, v.Name); err != nil {
		return dst, err
	}
	if dst, err = appendContainer(dst, append(Tuple{}, v.Args...), depth-1); err != nil {
		return dst, err
	}
	if dst, err = appendContainer(dst, v.Kwargs, depth-1); err != nil {
		return dst, err
	}
	return append(dst, opNone, opTuple, opBuild, opEmptyTuple, opReduce), nil
}

// appendGlobal writes the reference to a class or function, whose names stand
// in lines.
func appendGlobal(dst []byte, module, name string) ([]byte, error) {
	if module == "" || name == "" || strings.ContainsAny(module+name, "\r\n") {
		return dst, fmt.Errorf("%.40q in %.40q is no name of a class or function", name, module)
	}
	dst = append(append(append(dst, opGlobal), module...), '\n')
	return append(append(dst, name...), '\n'), nil
}
