package pickle

// Elements are those of a list, tuple, set or frozenset, in their order; ok is
// false for any other value.
func (v Value) Elements() (elements []Value, ok bool) {
	s, ok := v.sequence()
	if !ok {
		return nil, false
	}
	elements = make([]Value, len(s.items))
	for i, item := range s.items {
		elements[i] = Value{item, v.depth}
	}
	return elements, true
}

// Unordered reports whether the elements are those of a set or frozenset, whose
// order says nothing.
func (v Value) Unordered() bool {
	s, ok := v.sequence()
	return ok && (s.kind == set || s.kind == frozenset)
}

func (v Value) sequence() (*sequence, bool) {
	if o, ok := v.node.(*object); ok {
		return o.asSet()
	}
	s, ok := v.node.(*sequence)
	return s, ok
}

// Entry is a key of a dict with its value.
type Entry struct{ Key, Value Value }

// Entries are those of a dict, in their order; ok is false for any other value.
func (v Value) Entries() (entries []Entry, ok bool) {
	m, ok := v.node.(*mapping)
	if !ok {
		return nil, false
	}
	entries = make([]Entry, len(m.entries))
	for i, e := range m.entries {
		entries[i] = Entry{Value{e.key, v.depth}, Value{e.value, v.depth}}
	}
	return entries, true
}

// Text is a str in UTF-8; ok is false for any other value. Half of a surrogate
// pair becomes U+FFFD.
func (v Value) Text() (s string, ok bool) {
	t, ok := v.node.(text)
	return readable(string(t)), ok
}

// Type is the name of the value's class, with its module unless it is a builtin.
func (v Value) Type() string { return typeName(v.node) }
