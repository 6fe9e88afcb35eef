package pickle

import (
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
)

// Value is a value that was read: plain data, or what stands for a class, a
// call or an instance. Its methods are safe for concurrent use.
type Value struct {
	node  any
	depth int // how deep it is shown
}

// The nodes of a value. Beside these, nil, bool, int64, float64 and *big.Int
// (beyond int64) are themselves. All are comparable, those that refer to
// others by identity.
type (
	// text is a str in UTF-8, where surrogates may stand alone (ed a0 80).
	text string
	// raw is a bytes object.
	raw string
	// global is a class or function by its name, both parts short.
	global struct{ module, name string }
	// sequence is a list, tuple, set or frozenset.
	sequence struct {
		kind  kind
		items []any
	}
	// object is what a class or function makes of arguments, and what is put
	// into it then.
	object struct {
		class   any
		args    []any
		kwargs  *mapping
		created bool // by the class's __new__, not by calling it
		items   []any
		members *mapping
		state   any
	}
)

// kind is what a sequence is.
type kind byte

const (
	list kind = iota
	tuple
	set
	frozenset
)

// String is Python's name of the kind.
func (k kind) String() string {
	return [...]string{"list", "tuple", "set", "frozenset"}[k]
}

// mapping is a dict.
type mapping struct {
	entries []entry
	index   map[any]int // of entries by identity, where they are many
}

type entry struct{ key, value, identity any }

// fewEntries is up to where entries are compared one by one.
const fewEntries = 8

// set gives key its value; the key that came first stays, as in Python.
func (m *mapping) set(key, value any) {
	id := identity(key)
	if i := m.find(id); i >= 0 {
		m.entries[i].value = value
		return
	}
	m.entries = append(m.entries, entry{key, value, id})
	switch n := len(m.entries); {
	case n == fewEntries+1:
		m.index = make(map[any]int, 4*n)
		for i, e := range m.entries {
			m.index[e.identity] = i
		}
	case n > fewEntries:
		m.index[id] = n - 1
	}
}

// find is where the entry of a key stands, negative where there is none.
func (m *mapping) find(id any) int {
	if m.index != nil {
		if i, ok := m.index[id]; ok {
			return i
		}
		return -1
	}
	for i := range m.entries {
		if m.entries[i].identity == id {
			return i
		}
	}
	return -1
}

// get is the value of a text key.
func (m *mapping) get(key string) (any, bool) {
	if i := m.find(text(key)); i >= 0 {
		return m.entries[i].value, true
	}
	return nil, false
}

// whole is the identity of an integer beyond int64: its hexadecimal digits.
type whole string

// identity is equal for keys that are equal in Python, as far as these are
// plain values; other keys are equal to themselves only.
func identity(node any) any {
	switch v := node.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case *big.Int:
		return whole(v.Text(16))
	case float64:
		switch {
		case v != math.Trunc(v) || math.IsInf(v, 0):
		case math.MinInt64 <= v && v < math.MaxInt64:
			return int64(v)
		default:
			n, _ := big.NewFloat(v).Int(nil)
			return whole(n.Text(16))
		}
	}
	return node
}

// maxName is the longest name of a class or function, in bytes, and maxNested
// how many classes it may stand in.
const (
	maxName   = 1024
	maxNested = 8
)

// asGlobal is the class or function that node names: itself, or an attribute
// that is fetched from one.
func asGlobal(node any) (global, bool) { return nestedGlobal(node, maxNested) }

func nestedGlobal(node any, depth int) (global, bool) {
	switch v := node.(type) {
	case global:
		return v, true
	case *object:
		if owner, name, ok := v.attribute(); ok && depth > 0 {
			if g, ok := nestedGlobal(owner, depth-1); ok {
				return global{g.module, g.name + "." + name}, true
			}
		}
	}
	return global{}, false
}

// attribute tells whose attribute of which name an object is.
func (o *object) attribute() (owner any, name string, ok bool) {
	if o.class != (global{"builtins", "getattr"}) || len(o.args) != 2 {
		return nil, "", false
	}
	t, ok := o.args[1].(text)
	return o.args[0], string(t), ok && len(t) <= maxName
}

// path is the dotted name.
func (g global) path() string { return g.module + "." + g.name }

// last is the name without the classes it stands in.
func (g global) last() string { return g.name[strings.LastIndexByte(g.name, '.')+1:] }

// typeName is the class of a node for people, with its module unless it is a
// builtin.
func typeName(node any) string {
	switch v := node.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case text:
		return "str"
	case raw:
		return "bytes"
	case *sequence:
		return v.kind.String()
	case *mapping:
		return "dict"
	case global:
		return v.shown()
	case *object:
		if g, ok := asGlobal(v); ok {
			return g.shown()
		}
		if g, ok := asGlobal(v.class); ok {
			return g.shown()
		}
	}
	return "object"
}

// shown is the path as Python shows it.
func (g global) shown() string {
	if g.module == "builtins" {
		return readable(g.name)
	}
	return readable(g.path())
}

// nextRune decodes the first character of s, which may be half of a surrogate
// pair. What is no character is U+FFFD.
func nextRune(s string) (rune, int) {
	if len(s) >= 3 && s[0] == 0xed && s[1] >= 0xa0 && s[1] <= 0xbf && s[2] >= 0x80 && s[2] <= 0xbf {
		return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3
	}
	return utf8.DecodeRuneInString(s)
}

// appendRune encodes a character that may be half of a surrogate pair.
func appendRune(dst []byte, r rune) []byte {
	if r < 0xd800 || r > 0xdfff {
		return utf8.AppendRune(dst, r)
	}
	return append(dst, 0xed, byte(0x80|r>>6&0x3f), byte(0x80|r&0x3f))
}

// readable is s in UTF-8.
func readable(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
