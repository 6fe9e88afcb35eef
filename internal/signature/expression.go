package signature

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a source text that is looked at. A longer or deeper one is as good
// as unknown.
const (
	maxSource = 4096 // bytes
	maxDepth  = 32   // brackets within brackets
)

type kind int

// The kinds of expressions. What else Python has is none that annotations and
// literals need.
const (
	kindName      kind = iota // text: dotted
	kindNumber                // text: as it stands in the source
	kindText                  // text: the string that is meant
	kindBytes                 // text: the bytes that are meant
	kindOther                 // formatted strings
	kindCall                  // items: what is called, and the arguments
	kindKeyword               // text: the name of an argument; items: its value
	kindList                  // items
	kindTuple                 // items
	kindDict                  // items: key, value, key, value
	kindSet                   // items
	kindMember                // text: dotted; no syntax of Python, yet how it shows what has no other
	kindSubscript             // items: what, and what stands in the brackets
	kindUnion                 // items, with | between
	kindNegative              // items: one
	kindStarred               // items: one
	kindEllipsis
)

// expression is one expression of Python.
type expression struct {
	kind  kind
	text  string
	items []expression
}

var (
	errSyntax = errors.New("no expression of a name, a literal, brackets and |")
	errBounds = errors.New("the expression is too long or nested too deeply")
)

// parse reads the source text of one expression.
func parse(source string) (expression, error) {
	if len(source) > maxSource {
		return expression{}, errBounds
	}
	if !utf8.ValidString(source) {
		return expression{}, errSyntax
	}
	p := parser{rest: strings.TrimSpace(source)}
	e, err := p.union()
	if err == nil && p.rest != "" {
		err = errSyntax
	}
	return e, err
}

// parser holds what of a source text was not read yet, without blanks in
// front.
type parser struct {
	rest  string
	depth int
}

// take takes a token that stands next.
func (p *parser) take(token string) bool {
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.skip(rest)
	}
	return ok
}

func (p *parser) skip(rest string) { p.rest = strings.TrimLeft(rest, " \t\r\n") }

func (p *parser) union() (expression, error) {
	if p.depth++; p.depth > maxDepth {
		return expression{}, errBounds
	}
	defer func() { p.depth-- }()
	first, err := p.unary()
	if err != nil || !strings.HasPrefix(p.rest, "|") {
		return first, err
	}
	all := expression{kind: kindUnion, items: []expression{first}}
	for p.take("|") {
		next, err := p.unary()
		if err != nil {
			return expression{}, err
		}
		all.items = append(all.items, next)
	}
	return all, nil
}

func (p *parser) unary() (expression, error) {
	switch {
	case p.take("-"):
		e, err := p.atom()
		return expression{kind: kindNegative, items: []expression{e}}, err
	case p.take("*"):
		e, err := p.primary()
		return expression{kind: kindStarred, items: []expression{e}}, err
	}
	return p.primary()
}

// primary reads an atom and the brackets behind it.
func (p *parser) primary() (expression, error) {
	e, err := p.atom()
	for err == nil {
		switch {
		case p.take("["):
			e = expression{kind: kindSubscript, items: []expression{e}}
			var inner []expression
			inner, _, err = p.list("]")
			e.items = append(e.items, inner...)
		case p.take("("):
			e = expression{kind: kindCall, items: []expression{e}}
			var inner []expression
			inner, err = p.call()
			e.items = append(e.items, inner...)
		default:
			return e, nil
		}
	}
	return e, err
}

// call reads the arguments of a call.
func (p *parser) call() (arguments []expression, err error) {
	for !p.take(")") {
		e, err := p.union()
		if err != nil {
			return nil, err
		}
		if e.kind == kindName && p.take("=") {
			value, err := p.union()
			if err != nil {
				return nil, err
			}
			e = expression{kind: kindKeyword, text: e.text, items: []expression{value}}
		}
		arguments = append(arguments, e)
		if !p.take(",") && !strings.HasPrefix(p.rest, ")") {
			return nil, errSyntax
		}
	}
	return arguments, nil
}

func (p *parser) atom() (expression, error) {
	switch {
	case p.rest == "":
		return expression{}, errSyntax
	case p.take("..."):
		return expression{kind: kindEllipsis}, nil
	case p.take("["):
		items, _, err := p.list("]")
		return expression{kind: kindList, items: items}, err
	case p.take("("):
		items, commas, err := p.list(")")
		if err == nil && len(items) == 1 && !commas {
			return items[0], nil
		}
		return expression{kind: kindTuple, items: items}, err
	case p.take("{"):
		return p.dictionary()
	case p.take("<"):
		return p.member()
	}
	if c := p.rest[0]; c == '.' || '0' <= c && c <= '9' {
		return p.number()
	}
	return p.named()
}

// member reads what stands behind <.
func (p *parser) member() (expression, error) {
	e, err := p.named()
	if err == nil && (e.kind != kindName || !p.take(">")) {
		err = errSyntax
	}
	return expression{kind: kindMember, text: e.text}, err
}

// named reads a dotted name, or a string with or without a prefix.
func (p *parser) named() (expression, error) {
	word := p.word()
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		return p.text(strings.ToLower(word))
	}
	if word == "" {
		return expression{}, errSyntax
	}
	p.skip(p.rest)
	for p.take(".") {
		part := p.word()
		if part == "" {
			return expression{}, errSyntax
		}
		word += "." + part
		p.skip(p.rest)
	}
	return expression{kind: kindName, text: word}, nil
}

// word takes an identifier, and leaves blanks behind it.
func (p *parser) word() string {
	i := strings.IndexFunc(p.rest, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	if i < 0 {
		i = len(p.rest)
	}
	word := p.rest[:i]
	p.rest = p.rest[i:]
	return word
}

// list reads expressions up to a closing bracket. commas tells whether there
// was a comma, which makes a tuple of one.
func (p *parser) list(closing string) (items []expression, commas bool, err error) {
	for !p.take(closing) {
		e, err := p.union()
		if err != nil {
			return nil, false, err
		}
		items = append(items, e)
		if p.take(",") {
			commas = true
		} else if !strings.HasPrefix(p.rest, closing) {
			return nil, false, errSyntax
		}
	}
	return items, commas, nil
}

// dictionary reads a dict, or a set: their first elements tell which.
func (p *parser) dictionary() (expression, error) {
	d := expression{kind: kindDict}
	for !p.take("}") {
		e, err := p.union()
		if err != nil {
			return d, err
		}
		d.items = append(d.items, e)
		if len(d.items) == 1 && !strings.HasPrefix(p.rest, ":") {
			d.kind = kindSet
		}
		if d.kind == kindDict {
			if !p.take(":") {
				return d, errSyntax
			}
			value, err := p.union()
			if err != nil {
				return d, err
			}
			d.items = append(d.items, value)
		}
		if !p.take(",") && !strings.HasPrefix(p.rest, "}") {
			return d, errSyntax
		}
	}
	return d, nil
}

// number takes a number; what it is worth is looked at when it is used.
func (p *parser) number() (expression, error) {
	i := 0
	for i < len(p.rest) {
		c := p.rest[i]
		sign := (c == '+' || c == '-') && i > 0 && (p.rest[i-1] == 'e' || p.rest[i-1] == 'E')
		if !sign && c != '.' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
		i++
	}
	e := expression{kind: kindNumber, text: p.rest[:i]}
	p.skip(p.rest[i:])
	return e, nil
}

// text takes a string with one quote at each end. Those with three are written
// by nobody where annotations and defaults come from: ast.unparse.
func (p *parser) text(prefix string) (expression, error) {
	quote := p.rest[0]
	raw := strings.Contains(prefix, "r")
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '\\':
			i++
		case c == '\n':
			return expression{}, errSyntax
		case c == quote:
			inner := p.rest[1:i]
			p.skip(p.rest[i+1:])
			if prefix == "b" {
				octets, err := unquoteBytes(inner)
				return expression{kind: kindBytes, text: octets}, err
			}
			if prefix != "" && prefix != "u" && prefix != "r" {
				return expression{kind: kindOther}, nil
			}
			value, err := unquote(inner, raw)
			return expression{kind: kindText, text: value}, err
		}
	}
	return expression{}, errSyntax
}
