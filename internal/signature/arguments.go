package signature

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxArguments bounds the source text of the arguments of a call, in bytes.
const maxArguments = 16 << 10

// Arguments reads the arguments of a call as Python's repr spells them, 'x',
// month=3, and returns them as a JSON list and a JSON object. It takes plain data
// only, of which JSON has the same: None, booleans, numbers, text, lists, and
// dicts with keys of text. It reports false for everything else, a tuple too, and
// for an argument of more than longest characters: one that was cut looks so,
// wherever a quotation mark behind it may seem to end it.
func Arguments(source string, longest int) (args, kwargs []byte, ok bool) {
	if len(source) > maxArguments || !utf8.ValidString(source) {
		return nil, nil, false
	}
	p := parser{rest: strings.TrimSpace(source)}
	var list, members, names []string
	for p.rest != "" {
		name := p.keyword()
		value, ok := p.plain(longest)
		if !ok || name == "" && len(names) > 0 || name != "" && slices.Contains(names, name) {
			return nil, nil, false
		}
		if name == "" {
			list = append(list, value)
		} else {
			names, members = append(names, name), append(members, quote(name)+":"+value)
		}
		if !p.take(",") && p.rest != "" {
			return nil, nil, false
		}
	}
	return []byte("[" + strings.Join(list, ",") + "]"), []byte("{" + strings.Join(members, ",") + "}"), true
}

// keyword takes the name of a keyword argument; empty: there is none.
func (p *parser) keyword() string {
	before := p.rest
	if name := p.word(); name != "" && p.take("=") {
		return name
	}
	p.rest = before
	return ""
}

// plain takes one value and returns its JSON text.
func (p *parser) plain(longest int) (string, bool) {
	before := p.rest
	e, err := p.union()
	if err != nil || hasTuple(e) || utf8.RuneCountInString(before)-utf8.RuneCountInString(p.rest) > longest {
		return "", false
	}
	return constant(e)
}

func hasTuple(e expression) bool {
	return e.kind == kindTuple || slices.ContainsFunc(e.items, hasTuple)
}
