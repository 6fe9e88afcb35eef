package search

import (
	"strings"
	"time"
	"unicode"
)

// place is what an expression is printed within.
type place int

const (
	alone place = iota
	inOr
	inAnd
	inNot
)

func text(e Expr) string {
	var b strings.Builder
	e.print(&b, alone)
	return b.String()
}

// String prints the parts with spaces between them.
func (e And) String() string { return text(e) }

// String prints the parts with OR between them.
func (e Or) String() string { return text(e) }

// String prints the minus sign and what is negated.
func (e Not) String() string { return text(e) }

// String prints state:VALUE.
func (e State) String() string { return text(e) }

// String prints FIELD:PATTERN.
func (e Name) String() string { return text(e) }

// String prints FIELD:PHRASE, or the phrase.
func (e Text) String() string { return text(e) }

// String prints kw.NAME=PATTERN.
func (e Keyword) String() string { return text(e) }

// String prints FIELD:OP VALUE without the space.
func (e Duration) String() string { return text(e) }

// String prints when:OP TIME without the space, the time in UTC.
func (e Moment) String() string { return text(e) }

func (e And) print(b *strings.Builder, within place) {
	join(b, e, " ", within == inNot, inAnd)
}

func (e Or) print(b *strings.Builder, within place) {
	join(b, e, " OR ", within == inNot || within == inAnd, inOr)
}

func join(b *strings.Builder, parts []Expr, between string, parentheses bool, within place) {
	if parentheses {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	for i, part := range parts {
		if i > 0 {
			b.WriteString(between)
		}
		part.print(b, within)
	}
}

func (e Not) print(b *strings.Builder, _ place) {
	b.WriteByte('-')
	e.Of.print(b, inNot)
}

func (e State) print(b *strings.Builder, _ place) {
	b.WriteString(string(FieldState) + ":" + e.Value)
}

func (e Name) print(b *strings.Builder, _ place) {
	b.WriteString(string(e.Field) + ":")
	printValue(b, e.Pattern, e.Field.withinNames() && !strings.Contains(e.Pattern, "*"))
}

func (e Text) print(b *strings.Builder, _ place) {
	if e.Field != FieldAny {
		b.WriteString(string(e.Field) + ":")
	}
	if e.Exact {
		printValue(b, e.Phrase, true)
	} else {
		b.WriteString(e.Phrase)
	}
}

func (e Keyword) print(b *strings.Builder, _ place) {
	b.WriteString(keywordPrefix + e.Name + "=")
	printValue(b, e.Pattern, false)
}

func (e Duration) print(b *strings.Builder, _ place) {
	value := e.Value.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if short, ok := strings.CutSuffix(value, zero); ok {
			value = short + zero[:1]
		}
	}
	b.WriteString(string(e.Field) + ":" + string(e.Op) + value)
}

func (e Moment) print(b *strings.Builder, _ place) {
	b.WriteString(string(FieldWhen) + ":" + string(e.Op) + e.At.Format(time.RFC3339Nano))
}

// printValue quotes a value where it must be.
func printValue(b *strings.Builder, value string, quoted bool) {
	if !quoted && value != "" && !strings.ContainsFunc(value, endsWord) {
		b.WriteString(value)
		return
	}
	b.WriteByte('"')
	b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value))
	b.WriteByte('"')
}

// endsWord reports whether a character cannot stand in a word without quotes.
func endsWord(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' || r == '"' }

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
