// Package docstring shows the docstrings of Python functions as HTML: a subset of
// Markdown, with what Google, NumPy and Sphinx have docstrings look like.
//
// Docstrings are what anybody may have written. What comes out has the elements
// p, strong, em, code, pre, ul, ol, li, blockquote, hr, br and a alone, with no
// attribute but href and rel of a, and start of ol; links lead to http, https
// and mailto, and nothing is loaded from anywhere. HTML in a docstring is text.
// There are no headings, which would stand in no order with those of the page.
// What is longer than 64 KiB is cut, what is nested deeper than 8 levels is
// text, and the time that it takes grows with the length alone.
package docstring

import (
	"html"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

const (
	maxText  = 64 << 10 // bytes
	maxPlain = 4 << 10  // bytes of what becomes plain text
	maxDepth = 8        // blocks, and spans, within each other
	maxLinks = 1000     // brackets that may be those of links
)

// HTML is a docstring, or a part of one, as elements that may stand where
// paragraphs may.
func HTML(doc string) string {
	w := &writer{}
	source := []byte(markdown(cut(doc, maxText)))
	w.children(parse(source), source, 0)
	if len(doc) > maxText {
		w.WriteString("<p>…</p>\n")
	}
	return w.String()
}

// Plain is the text of a docstring, or of a part of one, in one line.
func Plain(doc string) string {
	doc = cut(doc, maxPlain)
	if !unmarked.MatchString(doc) {
		source := []byte(markdown(doc))
		w := &writer{plain: true}
		w.children(parse(source), source, 0)
		doc = html.UnescapeString(w.String())
	}
	return strings.Join(strings.Fields(doc), " ")
}

// unmarked is a line that Markdown cannot change, as those of a list of functions
// mostly are: it need not be read for each of thousands.
var unmarked = regexp.MustCompile("^[\\pL][^*_`\\[<&\\\\\r\n]*[^*_`\\[<&\\\\\r\n:]$")

// cut is the beginning of a text, up to the end of a line where there is one.
func cut(doc string, most int) string {
	if len(doc) > most {
		doc = doc[:most]
		if at := strings.LastIndexByte(doc, '\n'); at > most/2 {
			doc = doc[:at]
		}
		for len(doc) > 0 && !utf8.ValidString(doc[max(0, len(doc)-utf8.UTFMax):]) {
			doc = doc[:len(doc)-1]
		}
	}
	return visible(strings.ToValidUTF8(doc, string(utf8.RuneError)))
}

// visible is a text without control characters.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f {
			return utf8.RuneError
		}
		return r
	}, text)
}

// parse reads Markdown without its HTML. The parser is made anew each time: what is
// kept between docstrings would be a variable of the package.
func parse(source []byte) ast.Node {
	p := parser.NewParser(
		parser.WithBlockParsers(
			util.Prioritized(parser.NewSetextHeadingParser(), 100),
			util.Prioritized(parser.NewThematicBreakParser(), 200),
			util.Prioritized(shallow{parser.NewListParser()}, 300),
			util.Prioritized(parser.NewListItemParser(), 400),
			util.Prioritized(parser.NewCodeBlockParser(), 500),
			util.Prioritized(parser.NewATXHeadingParser(), 600),
			util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
			util.Prioritized(shallow{parser.NewBlockquoteParser()}, 800),
			util.Prioritized(parser.NewParagraphParser(), 1000),
		),
		parser.WithInlineParsers(
			util.Prioritized(parser.NewCodeSpanParser(), 100),
			util.Prioritized(dunder{}, 150),
			util.Prioritized(&links{inner: parser.NewLinkParser(), left: maxLinks}, 200),
			util.Prioritized(parser.NewAutoLinkParser(), 300),
			util.Prioritized(parser.NewEmphasisParser(), 500),
			util.Prioritized(extension.NewLinkifyParser(), 999),
		),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...),
	)
	return p.Parse(text.NewReader(source))
}

// shallow opens no block that would be too deep: each level costs time for every
// line within it.
type shallow struct{ parser.BlockParser }

func (s shallow) Open(parent ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	depth := 0
	for n := parent; n != nil; n = n.Parent() {
		if n.Kind() != ast.KindList {
			depth++
		}
	}
	if depth > maxDepth {
		return nil, parser.NoChildren
	}
	return s.BlockParser.Open(parent, reader, pc)
}

// links reads so many brackets: what closes one is looked for to the end of its
// paragraph, each time.
type links struct {
	inner parser.InlineParser
	left  int
}

func (l *links) Trigger() []byte { return l.inner.Trigger() }

func (l *links) Parse(parent ast.Node, block text.Reader, pc parser.Context) ast.Node {
	if l.left == 0 {
		return nil
	}
	l.left--
	return l.inner.Parse(parent, block, pc)
}

// CloseBlock makes text of the brackets that nothing closed.
func (l *links) CloseBlock(parent ast.Node, block text.Reader, pc parser.Context) {
	if closer, ok := l.inner.(parser.CloseBlocker); ok {
		closer.CloseBlock(parent, block, pc)
	}
}

// dunder reads names like __init__ as they stand, which Markdown takes for strong.
type dunder struct{}

func (dunder) Trigger() []byte { return []byte{'_'} }

func (dunder) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	line, segment := block.PeekLine()
	n := 0
	for n < len(line) && (line[n] == '_' || line[n]|0x20 >= 'a' && line[n]|0x20 <= 'z' || line[n] >= '0' && line[n] <= '9') {
		n++
	}
	if n < 5 || string(line[:2]) != "__" || string(line[n-2:n]) != "__" || line[2] == '_' || wordBefore(block.PrecendingCharacter()) {
		return nil
	}
	block.Advance(n)
	return ast.NewTextSegment(segment.WithStop(segment.Start + n))
}

func wordBefore(r rune) bool {
	return r == '_' || r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9'
}
