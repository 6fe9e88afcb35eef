// Package search is the language in which people look for executions and jobs:
//
//	estado:falhou fila:high função:nfse args:"ACME" -worker:rpa-03 duração:>5m quando:ontem
//
// Parse makes a tree of it. Match says what the tree means, String prints it in
// a form that does not depend on the time or the zone it was parsed in, and a
// store compiles it to a query of its own. docs/search.md describes the
// language for its users.
package search

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Bounds of an expression, so that nobody's costs much to parse or to run.
const (
	MaxLength = 4000 // characters of the text, and of what String makes of it
	MaxTerms  = 50   // leaves of the tree
	MaxDepth  = 20   // parentheses and negations within each other
)

// Options say where and when a text was written.
type Options struct {
	Now  time.Time      // what "today" and "2h" are taken from
	Zone *time.Location // of days and of times without an offset; default UTC
}

// Kind tells Errors apart for programs that put them in another language.
type Kind string

// The kinds of Error.
const (
	Syntax       Kind = "syntax"        // parentheses, quotes, operators, a value that is missing
	UnknownField Kind = "unknown_field" // Word is no field, Nearest is one
	UnknownValue Kind = "unknown_value" // Word is no value of this field; Nearest is one where they can be listed
	TooLarge     Kind = "too_large"     // beyond a bound
)

// Error says what is wrong with a text, and where.
type Error struct {
	Column  int // in characters, from 1
	Kind    Kind
	Word    string // what was not understood, bounded; may be empty
	Nearest string // what was probably meant; may be empty
	Message string // for people, without the column
}

// Error tells the column with the message.
func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

// Parse reads an expression. An empty text is the expression that everything
// matches. Every error is an *Error whose Column is within the text.
func Parse(text string, opts Options) (Expr, error) {
	if opts.Zone == nil {
		opts.Zone = time.UTC
	}
	opts.Now = opts.Now.Round(0).In(opts.Zone)
	if err := checkText(text); err != nil {
		return nil, err
	}
	p := &parser{text: []rune(text), opts: opts}
	p.space()
	if p.end() {
		return And{}, nil
	}
	e, err := p.or(-1)
	if err != nil {
		return nil, err
	}
	if !p.end() {
		return nil, p.fail(p.pos, Syntax, "there is no ( for this )")
	}
	if utf8.RuneCountInString(e.String()) > MaxLength {
		return nil, p.fail(len(p.text)-1, TooLarge, "the search is too long: %d characters at most", MaxLength)
	}
	return e, nil
}

// checkText bounds the text before anything is made of it, and refuses what no
// keyboard types and no database takes.
func checkText(text string) error {
	column := 0
	for i, r := range text {
		column++
		switch {
		case column > MaxLength:
			return &Error{Column: column, Kind: TooLarge, Message: fmt.Sprintf("the search is too long: %d characters at most", MaxLength)}
		case invalidAt(text[i:], r):
			return &Error{Column: column, Kind: Syntax, Message: "this is not UTF-8"}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return &Error{Column: column, Kind: Syntax, Message: fmt.Sprintf("the control character %U cannot be searched for", r)}
		}
	}
	return nil
}

// invalidAt tells a character that could not be decoded from one that stands
// for such.
func invalidAt(rest string, r rune) bool {
	_, size := utf8.DecodeRuneInString(rest)
	return r == utf8.RuneError && size == 1
}
