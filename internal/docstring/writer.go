package docstring

import (
	"bufio"
	"fmt"
	"html"
	"net/url"
	"strings"

	"github.com/yuin/goldmark/ast"
	written "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/util"
)

// writer writes a tree as HTML, or its texts alone.
type writer struct {
	strings.Builder
	plain  bool
	inLink bool
}

func (w *writer) children(n ast.Node, source []byte, depth int) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		w.node(c, source, depth+1)
	}
}

// within writes what is in a node between two tags. Too deep down there are none.
func (w *writer) within(opening, closing string, n ast.Node, source []byte, depth int) {
	w.tag(opening, depth)
	w.children(n, source, depth)
	w.tag(closing, depth)
}

func (w *writer) tag(tag string, depth int) {
	switch {
	case !w.plain && depth <= 4*maxDepth:
		w.WriteString(tag)
	case strings.HasSuffix(tag, "\n"):
		w.WriteByte('\n') // of a block: its text ends
	}
}

func (w *writer) node(n ast.Node, source []byte, depth int) {
	switch n := n.(type) {
	case *ast.Text:
		w.text(n.Segment.Value(source), n.IsRaw())
		if n.HardLineBreak() {
			w.tag("<br>\n", depth)
		} else if n.SoftLineBreak() {
			w.WriteByte('\n')
		}
	case *ast.String:
		w.text(n.Value, n.IsRaw())
	case *ast.CodeSpan:
		w.tag("<code>", depth)
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			if t, ok := c.(*ast.Text); ok {
				w.text([]byte(strings.ReplaceAll(string(t.Segment.Value(source)), "\n", " ")), true)
			}
		}
		w.tag("</code>", depth)
	case *ast.Emphasis:
		name := map[bool]string{true: "strong", false: "em"}[n.Level == 2]
		w.within("<"+name+">", "</"+name+">", n, source, depth)
	case *ast.Link:
		w.link(string(n.Destination), n, source, depth)
	case *ast.Image:
		w.link(string(n.Destination), n, source, depth)
	case *ast.AutoLink:
		w.auto(n, source, depth)
	default:
		w.block(n, source, depth)
	}
}

func (w *writer) block(n ast.Node, source []byte, depth int) {
	switch n := n.(type) {
	case *ast.Heading:
		w.within("<p><strong>", "</strong></p>\n", n, source, depth)
	case *ast.Paragraph:
		w.within("<p>", "</p>\n", n, source, depth)
	case *ast.TextBlock: // of a list without room between its items
		w.within("", "\n", n, source, depth)
	case *ast.Blockquote:
		w.within("<blockquote>\n", "</blockquote>\n", n, source, depth)
	case *ast.List:
		opening, closing := "<ul>\n", "</ul>\n"
		if n.IsOrdered() {
			opening, closing = "<ol>\n", "</ol>\n"
			if n.Start != 1 {
				opening = fmt.Sprintf("<ol start=\"%d\">\n", n.Start)
			}
		}
		w.within(opening, closing, n, source, depth)
	case *ast.ListItem:
		w.within("<li>", "</li>\n", n, source, depth)
	case *ast.ThematicBreak:
		w.tag("<hr>\n", depth)
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		w.tag("<pre><code>", depth)
		lines := n.Lines()
		for i := range lines.Len() {
			line := lines.At(i)
			w.text(line.Value(source), true)
		}
		w.tag("</code></pre>\n", depth)
	}
}

// text writes text, in which Markdown's escapes and references to characters are
// those unless it is raw.
func (w *writer) text(text []byte, raw bool) {
	var escaped strings.Builder
	b := bufio.NewWriterSize(&escaped, 256)
	if raw {
		written.DefaultWriter.RawWrite(b, text)
	} else {
		written.DefaultWriter.Write(b, text)
	}
	_ = b.Flush() // memory takes it
	w.WriteString(visible(escaped.String()))
}

// link writes what leads to an address, or its text alone where nobody should be
// led there. A picture is not shown: it would be loaded from elsewhere.
func (w *writer) link(address string, n ast.Node, source []byte, depth int) {
	address = string(util.URLEscape([]byte(address), true))
	if w.inLink || !leads(address) {
		w.children(n, source, depth)
		return
	}
	w.inLink = true
	w.open(address, depth)
	w.children(n, source, depth)
	if n.FirstChild() == nil {
		w.WriteString(html.EscapeString(address))
	}
	w.tag("</a>", depth)
	w.inLink = false
}

func (w *writer) auto(n *ast.AutoLink, source []byte, depth int) {
	address, label := string(n.URL(source)), html.EscapeString(string(n.Label(source)))
	if n.AutoLinkType == ast.AutoLinkEmail && !strings.HasPrefix(strings.ToLower(address), "mailto:") {
		address = "mailto:" + address
	}
	address = string(util.URLEscape([]byte(address), false))
	if w.inLink || !leads(address) {
		w.WriteString(label)
		return
	}
	w.open(address, depth)
	w.WriteString(label)
	w.tag("</a>", depth)
}

func (w *writer) open(address string, depth int) {
	w.tag(`<a href="`+html.EscapeString(address)+`" rel="noopener noreferrer nofollow">`, depth)
}

// leads reports whether an address is one to lead people to.
func leads(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		return u.Host != ""
	case "mailto":
		return u.Opaque != ""
	}
	return false
}
