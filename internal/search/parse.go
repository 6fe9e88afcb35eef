package search

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxShown is how many characters of a text an error repeats.
const maxShown = 40

// parser walks over a text. Positions are in characters, from 0.
type parser struct {
	text  []rune
	pos   int
	depth int
	terms int
	opts  Options
}

func (p *parser) fail(at int, kind Kind, format string, args ...any) error {
	return &Error{Column: at + 1, Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// unknown is the error about a word that names nothing.
func (p *parser) unknown(at int, kind Kind, what, word, nearest string) *Error {
	word = shorten(word)
	message := fmt.Sprintf("unknown %s %q", what, word)
	if nearest != "" {
		message += fmt.Sprintf(" (did you mean %s?)", nearest)
	}
	return &Error{Column: at + 1, Kind: kind, Word: word, Nearest: nearest, Message: message}
}

func shorten(word string) string {
	if runes := []rune(word); len(runes) > maxShown {
		return string(runes[:maxShown]) + "…"
	}
	return word
}

func (p *parser) end() bool { return p.pos == len(p.text) }

// next is the character at the position, 0 at the end.
func (p *parser) next() rune {
	if p.end() {
		return 0
	}
	return p.text[p.pos]
}

func (p *parser) space() {
	for !p.end() && unicode.IsSpace(p.text[p.pos]) {
		p.pos++
	}
}

// operator takes one of words, where it stands by itself at the position.
func (p *parser) operator(words ...string) bool {
	p.space()
	n := p.pos
	for n < len(p.text) && !endsWord(p.text[n]) {
		n++
	}
	if !slices.Contains(words, string(p.text[p.pos:n])) {
		return false
	}
	p.pos = n
	return true
}

// or reads parts with OR between them. before is the position of the
// parenthesis they stand in, -1 outside.
func (p *parser) or(before int) (Expr, error) {
	var parts []Expr
	for {
		part, err := p.and(before)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		before = p.pos
		if !p.operator("OR", "OU") {
			return joined[Or](parts), nil
		}
	}
}

// and reads parts with spaces between them, or AND.
func (p *parser) and(before int) (Expr, error) {
	var parts []Expr
	needs := before // what has nothing behind it yet
	for {
		p.space()
		at := p.pos
		if p.end() || p.next() == ')' || p.operator("OR", "OU") {
			p.pos = at
			break
		}
		if len(parts) > 0 && needs < 0 && p.operator("AND") {
			needs = at
			continue
		}
		if p.operator("AND") {
			return nil, p.fail(at, Syntax, "AND needs something on both sides; in quotes it is a word")
		}
		part, err := p.negated()
		if err != nil {
			return nil, err
		}
		parts, needs = append(parts, part), -1
	}
	switch {
	case len(parts) > 0 && needs < 0:
		return joined[And](parts), nil
	case p.end() || needs >= 0:
		return nil, p.fail(max(p.operand(needs), 0), Syntax, "nothing stands behind this")
	case p.next() == ')':
		return nil, p.fail(p.pos, Syntax, "there is no ( for this )")
	}
	return nil, p.fail(p.pos, Syntax, "nothing stands before this; in quotes it is a word")
}

// operand moves from the end of what stood before an operator to the operator.
func (p *parser) operand(at int) int {
	for at >= 0 && at < len(p.text)-1 && unicode.IsSpace(p.text[at]) {
		at++
	}
	return at
}

// nest runs read one level deeper.
func (p *parser) nest(at int, read func() (Expr, error)) (Expr, error) {
	if p.depth == MaxDepth {
		return nil, p.fail(at, TooLarge, "more than %d parentheses and negations are within each other", MaxDepth)
	}
	p.depth++
	defer func() { p.depth-- }()
	return read()
}

func (p *parser) negated() (Expr, error) {
	at := p.pos
	if p.next() != '-' {
		return p.term()
	}
	p.pos++
	if p.end() || unicode.IsSpace(p.next()) || p.next() == ')' {
		return nil, p.fail(at, Syntax, "nothing stands behind this -; in quotes it is a word")
	}
	e, err := p.nest(at, p.negated)
	if err != nil {
		return nil, err
	}
	return not(e), nil
}

func (p *parser) term() (Expr, error) {
	at := p.pos
	switch p.next() {
	case '(':
		return p.nest(at, func() (Expr, error) {
			p.pos++
			e, err := p.or(at)
			if err != nil {
				return nil, err
			}
			if p.next() != ')' {
				return nil, p.fail(at, Syntax, "there is no ) for this (")
			}
			p.pos++
			return e, nil
		})
	case '"':
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		return p.phrase(FieldAny, v)
	}
	if name, ok := p.fieldName(); ok {
		return p.field(at, name)
	}
	if p.operator("AND", "OR", "OU") {
		return nil, p.fail(at, Syntax, "this joins two conditions; in quotes it is a word")
	}
	return p.phrase(FieldAny, p.word())
}

// fieldName takes a name and the colon behind it, or the equals sign behind
// that of an argument. A comparison may stand behind its field without a colon.
func (p *parser) fieldName() (string, bool) {
	n := p.pos
	for n < len(p.text) && (unicode.In(p.text[n], unicode.L, unicode.M, unicode.Nd) || p.text[n] == '.' || p.text[n] == '_' || p.text[n] == '-') {
		n++
	}
	if n == len(p.text) || n == p.pos || !unicode.IsLetter(p.text[p.pos]) {
		return "", false
	}
	name := string(p.text[p.pos:n])
	if p.text[n] == '>' || p.text[n] == '<' {
		if field, _ := lookUp(name, fieldNames()); !Field(field).compares() {
			return "", false
		}
		p.pos = n
		return name, true
	}
	if p.text[n] != ':' && (p.text[n] != '=' || !strings.HasPrefix(Fold(name), keywordPrefix)) {
		return "", false
	}
	p.pos = n + 1
	return name, true
}

// value is what stands behind a field.
type value struct {
	at     int
	text   string
	quoted bool
}

func (p *parser) word() value {
	v := value{at: p.pos}
	for !p.end() && !endsWord(p.next()) {
		p.pos++
	}
	v.text = string(p.text[v.at:p.pos])
	return v
}

// value takes a word, or a text in quotes, where a backslash takes the meaning
// of a quote or a backslash behind it.
func (p *parser) value() (value, error) {
	if p.next() != '"' {
		return p.word(), nil
	}
	v := value{at: p.pos, quoted: true}
	p.pos++
	var b strings.Builder
	for !p.end() {
		r := p.next()
		p.pos++
		switch {
		case r == '"':
			v.text = b.String()
			return v, nil
		case r == '\\' && (p.next() == '"' || p.next() == '\\'):
			r = p.next()
			p.pos++
		}
		b.WriteRune(r)
	}
	return v, p.fail(v.at, Syntax, "this quote is not closed")
}

// field reads the value of a field and makes a leaf of both.
func (p *parser) field(at int, name string) (Expr, error) {
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	argument, isKeyword := strings.CutPrefix(Fold(name), keywordPrefix)
	known, ok := lookUp(name, fieldNames())
	if !ok && !isKeyword {
		err := p.unknown(at, UnknownField, "field", name, closest(name, fieldNames()))
		err.Message += "; to search for a text with a colon, put it in quotes"
		return nil, err
	}
	if v.text == "" && !v.quoted {
		return nil, p.fail(at, Syntax, "a value is missing behind %s", string(p.text[at:p.pos]))
	}
	if isKeyword {
		if argument == "" {
			return nil, p.fail(at, Syntax, "the name of the argument is missing behind kw.")
		}
		return p.count(at, Keyword{Name: argument, Pattern: pattern(v.text)})
	}
	switch field := Field(known); field {
	case FieldState:
		return p.state(v)
	case FieldArgs, FieldError:
		return p.phrase(field, v)
	case FieldTook, FieldWaited:
		return p.duration(field, v)
	case FieldWhen:
		return p.moment(v)
	default:
		return p.name(field, v)
	}
}

// count lets a leaf pass unless there are too many.
func (p *parser) count(at int, leaf Expr) (Expr, error) {
	p.terms++
	if p.terms > MaxTerms {
		return nil, p.fail(at, TooLarge, "the search has more than %d conditions", MaxTerms)
	}
	return leaf, nil
}

func (p *parser) state(v value) (Expr, error) {
	word := stateWord(v.text)
	state, ok := lookUp(word, stateNames())
	if !ok {
		return nil, p.unknown(v.at, UnknownValue, "state", v.text, closest(word, stateNames()))
	}
	return p.count(v.at, State{state})
}

func (p *parser) phrase(field Field, v value) (Expr, error) {
	t := Text{Field: field, Phrase: v.text, Exact: v.quoted}
	if len(t.Words()) == 0 {
		return nil, p.fail(v.at, Syntax, "there is no letter or digit in %q to search for", shorten(v.text))
	}
	return p.count(v.at, t)
}

func (p *parser) name(field Field, v value) (Expr, error) {
	text := pattern(v.text)
	if field.withinNames() && !v.quoted && !strings.Contains(text, "*") {
		text = "*" + text + "*"
	}
	return p.count(v.at, Name{Field: field, Pattern: text})
}

// pattern writes runs of * as one.
func pattern(text string) string {
	for strings.Contains(text, "**") {
		text = strings.ReplaceAll(text, "**", "*")
	}
	return text
}
