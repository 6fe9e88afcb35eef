package docstring_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro/internal/docstring"
)

// rel is what every link says of where it leads.
const rel = ` rel="noopener noreferrer nofollow"`

func TestMarkdownInDocstringsIsShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, want string }{
		{"", ""},
		{"One.\nStill one.\n\nTwo.", "<p>One.\nStill one.</p>\n<p>Two.</p>\n"},
		{"*a* **b** `c` ``d`` ***e***", "<p><em>a</em> <strong>b</strong> <code>c</code> <code>d</code> <em><strong>e</strong></em></p>\n"},
		{"a  \nb\\\nc", "<p>a<br>\nb<br>\nc</p>\n"},
		{"- a\n- b\n  - c", "<ul>\n<li>a\n</li>\n<li>b\n<ul>\n<li>c\n</li>\n</ul>\n</li>\n</ul>\n"},
		{"3. a\n4. b", "<ol start=\"3\">\n<li>a\n</li>\n<li>b\n</li>\n</ol>\n"},
		{"```python\nx = `1` < 2\n```", "<pre><code>x = `1` &lt; 2\n</code></pre>\n"},
		{"a\n\n    code & more", "<p>a</p>\n<pre><code>code &amp; more\n</code></pre>\n"},
		{"> a", "<blockquote>\n<p>a</p>\n</blockquote>\n"},
		{"a\n\n***\n\nb", "<p>a</p>\n<hr>\n<p>b</p>\n"},
		{"# A `b`\n\nC\n=\n\n###### D", "<p><strong>A <code>b</code></strong></p>\n<p><strong>C</strong></p>\n<p><strong>D</strong></p>\n"},
		{"[a](https://x.y/?a=1&b=2 \"title\")", `<p><a href="https://x.y/?a=1&amp;b=2"` + rel + ">a</a></p>\n"},
		{"<https://x.y> and http://x.y/a_b_c.", `<p><a href="https://x.y"` + rel + `>https://x.y</a> and <a href="http://x.y/a_b_c"` + rel + ">http://x.y/a_b_c</a>.</p>\n"},
		{"a@b.com", `<p><a href="mailto:a@b.com"` + rel + ">a@b.com</a></p>\n"},
		{"[a][1]\n\n[1]: http://x.y", `<p><a href="http://x.y"` + rel + ">a</a></p>\n"},
		{"&lt; &amp;amp; \\* \\_", "<p>&lt; &amp;amp; * _</p>\n"},
		{"__init__(*args, **kwargs), _a_b, a__b__c", "<p>__init__(*args, **kwargs), _a_b, a__b__c</p>\n"},
	} {
		if got := docstring.HTML(c.doc); got != c.want {
			t.Errorf("%q is %q, want %q", c.doc, got, c.want)
		}
	}
}

func TestWhatADocstringMustNotDoIsText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, want string }{
		{"<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"},
		{"<div onclick=x>\n\n*a*\n</div>", "<p>&lt;div onclick=x&gt;</p>\n<p><em>a</em>\n&lt;/div&gt;</p>\n"},
		{"<!-- a --> <?b?> <![CDATA[c]]>", "<p>&lt;!-- a --&gt; &lt;?b?&gt; &lt;![CDATA[c]]&gt;</p>\n"},
		{"![logo](https://x.y/a.png)", `<p><a href="https://x.y/a.png"` + rel + ">logo</a></p>\n"},
		{"![](https://x.y/a.png)", `<p><a href="https://x.y/a.png"` + rel + ">https://x.y/a.png</a></p>\n"},
		{"[![logo](https://x.y/a.png)](https://x.y)", `<p><a href="https://x.y"` + rel + ">logo</a></p>\n"},
		{"[<http://a.b>](https://x.y)", `<p><a href="https://x.y"` + rel + ">http://a.b</a></p>\n"},
		{"[a](javascript:alert(1))", "<p>a</p>\n"},
		{"[a](JaVaScRiPt:alert(1)) [b](java&#10;script:x) [c](&#x6a;avascript:x)", "<p>a b c</p>\n"},
		{"[a](data:text/html,x) [b](vbscript:x) [c](file:///etc/passwd) [d](//x.y) [e](/jobs) [f](?a) [g](ftp://x.y) [h](http:)", "<p>a b c d e f g h</p>\n"},
		{"<javascript:alert(1)>", "<p>javascript:alert(1)</p>\n"},
		{"[a](<https://x.y/\"onmouseover=\"x>)", `<p><a href="https://x.y/%22onmouseover=%22x"` + rel + ">a</a></p>\n"},
		{"a\x00b\x1bc\xff&#12;&#0;", "<p>a\uFFFDb\uFFFDc\uFFFD\uFFFD\uFFFD</p>\n"},
	} {
		if got := docstring.HTML(c.doc); got != c.want {
			t.Errorf("%q is %q, want %q", c.doc, got, c.want)
		}
	}
}

func TestSectionsAndFieldsAreShownInEveryManner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ manner, doc, want string }{
		{"doctest", "So:\n>>> f(1)\n{'a': 1}\n>>> g(\n... 2)\n\nDone.", "<p>So:</p>\n<pre><code>&gt;&gt;&gt; f(1)\n{'a': 1}\n&gt;&gt;&gt; g(\n... 2)\n</code></pre>\n<p>Done.</p>\n"},
		{"doctest further in", "So:\n    >>> f(1)\n      1", "<p>So:</p>\n<pre><code>&gt;&gt;&gt; f(1)\n  1\n</code></pre>\n"},
		{"doctest with ticks", ">>> '```'", "<pre><code>&gt;&gt;&gt; '```'\n</code></pre>\n"},
		{"no doctest", ">>>x", "<blockquote>\n<blockquote>\n<blockquote>\n<p>x</p>\n</blockquote>\n</blockquote>\n</blockquote>\n"},
		{"Google", "Raises:\n    ValueError: if *bad*.\n        Very.\n    a.B (old): why\n\nThen.", "<p><strong>Raises:</strong></p>\n<ul>\n<li><code>ValueError</code>: if <em>bad</em>.\nVery.\n</li>\n<li><code>a.B</code> (old): why\n</li>\n</ul>\n<p>Then.</p>\n"},
		{"Google in Portuguese", "Retorna:\n    o total\n\nObs: nada.", "<p><strong>Retorna:</strong></p>\n<p>o total</p>\n<p><strong>Obs:</strong> nada.</p>\n"},
		{"Google with an example", "Examples:\n    Like this:\n\n    >>> 1\n    1", "<p><strong>Examples:</strong></p>\n<p>Like this:</p>\n<pre><code>&gt;&gt;&gt; 1\n1\n</code></pre>\n"},
		{"NumPy", "Returns\n-------\nfloat\n    The mean.\nstr\n    Its name.\n\nNotes\n-----\nNone.", "<p><strong>Returns</strong></p>\n<ul>\n<li><code>float</code>:\nThe mean.\n</li>\n<li><code>str</code>:\nIts name.\n</li>\n</ul>\n<p><strong>Notes</strong></p>\n<p>None.</p>\n"},
		{"Sphinx", "It.\n:returns: the *sum*\n    of all\n:rtype: int\n:raises ValueError: why\n@return: x", "<p>It.</p>\n<ul>\n<li><strong>Returns</strong>: the <em>sum</em>\nof all\n</li>\n<li><strong>Return type</strong>: <code>int</code>\n</li>\n<li><strong>Raises</strong> <code>ValueError</code>: why\n</li>\n<li><strong>Return</strong>: x\n</li>\n</ul>\n"},
		{"roles", "See :class:`~a.B`, :py:func:`c <d.e>`, ``:x:`y` ``.", "<p>See <code>a.B</code>, <code>d.e</code>, <code>:x:`y` </code>.</p>\n"},
		{"links", "`the manual <https://x.y/a_b>`_ and `a <b>`", `<p><a href="https://x.y/a_b"` + rel + ">the manual</a> and <code>a &lt;b&gt;</code></p>\n"},
		{"titles", "A title\n~~~~~~~\nText.", "<p><strong>A title</strong></p>\n<p>Text.</p>\n"},
		{"directives", ".. code-block:: python\n   :linenos:\n\n   x = `1`\n\n.. note:: Mind\n   it.", "<pre><code>x = `1`\n</code></pre>\n<p><strong>Note:</strong> Mind\nit.</p>\n"},
		{"literal blocks", "So::\n\n  a\n    b\n\nc", "<p>So:</p>\n<pre><code>a\n  b\n</code></pre>\n<p>c</p>\n"},
		{"fenced code in a list", "1. a\n\n    ```\n    >>> b\n    ```", "<ol>\n<li><p>a</p>\n<pre><code>&gt;&gt;&gt; b\n</code></pre>\n</li>\n</ol>\n"},
		{"fenced code", "```\nRaises:\n  >>> a\n:returns: b\n```", "<pre><code>Raises:\n  &gt;&gt;&gt; a\n:returns: b\n</code></pre>\n"},
	} {
		if got := docstring.HTML(c.doc); got != c.want {
			t.Errorf("%s: %q is\n%s\nwant\n%s", c.manner, c.doc, got, c.want)
		}
	}
}

func TestPlainTextOfADocstringHasNoMarkup(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		"":                                       "",
		"Sends *the* `report` <b>":               "Sends the report <b>",
		"# Title\n\nSee [x](http://y.z) & ``z``": "Title See x & z",
		"Sends it (again): 5 > 4 # a":            "Sends it (again): 5 > 4 # a",
		"So::":                                   "So::",
		"Á\ta  b\x1b!":                           "Á a b\uFFFD!",
		"- a\n- b":                               "a b",
		"__init__ of **kwargs":                   "__init__ of **kwargs",
		"![logo](http://x.y)":                    "logo",
		"&lt;i&gt; \\*":                          "<i> *",
		":class:`A`\n>>> b":                      "A >>> b",
	} {
		if got := docstring.Plain(doc); got != want {
			t.Errorf("%q is %q, want %q", doc, got, want)
		}
	}
}

func TestALongOrDeepDocstringMakesNoLargePage(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	for _, unit := range []string{
		">", "> ", "- ", "1. ", "> - 1. ", "[", "![", "[a](", "[a](((((", "[a](http://b) ", "[![a](b)](c)", "[a]: b\n", "`", "a`b``", "*a **a ", "**a*", "_a__b ", "*_",
		"<http://a", "http://a.b ", "a@b.cc ", "&#x", "\\", "```\n", "a\n~~~\n", ">>> a\n", "Note:\n ", "Raises:\n  a: b\n", "Returns\n---\n", ":raises x: y\n", ".. note::\n", "a::\n ",
		":a:`", "`a <http://", "\n", "é", "\xff",
	} {
		got := docstring.HTML(strings.Repeat(unit, size/len(unit)))
		if len(got) > 1<<20 {
			t.Errorf("%q many times becomes %d bytes", unit, len(got))
		}
		if depth := check(t, got); depth > 64 {
			t.Errorf("%q many times becomes %d elements within each other", unit, depth)
		}
		if plain := docstring.Plain(strings.Repeat(unit, size/len(unit))); len(plain) > 16<<10 {
			t.Errorf("%q many times becomes %d bytes of text", unit, len(plain))
		}
	}
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%sNote:\n%s- a\n", strings.Repeat(" ", i%500), strings.Repeat(" ", i%500+1))
	}
	check(t, docstring.HTML(b.String()))
	if got := docstring.HTML("word\n" + strings.Repeat("é\n", size)); !strings.HasSuffix(got, "<p>…</p>\n") || !strings.HasPrefix(got, "<p>word\n") {
		t.Error("nothing says that a docstring is cut")
	}
}

// check reads HTML strictly: every element that is opened is closed, and none has
// what it must not. It returns how many are within each other.
func check(t *testing.T, text string) int {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Error("the HTML is no UTF-8")
	}
	allowed := map[string][]string{
		"p": nil, "strong": nil, "em": nil, "code": nil, "pre": nil, "ul": nil, "li": nil, "blockquote": nil, "hr": nil, "br": nil,
		"ol": {"start"}, "a": {"href", "rel"},
	}
	// XML has no references by name but five, and these two characters in no way.
	d := xml.NewDecoder(strings.NewReader("<x>" + strings.NewReplacer("\uFFFE", "", "\uFFFF", "").Replace(text) + "</x>"))
	d.AutoClose = []string{"br", "hr"}
	d.Strict = false
	var open []string
	deepest := 0
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %.2000s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			attributes, known := allowed[name]
			if !known && (name != "x" || len(open) > 0) {
				t.Fatalf("there is an element %s in %.2000s", name, text)
			}
			if name == "a" && slices.Contains(open, "a") {
				t.Fatalf("a link is within a link in %.2000s", text)
			}
			for _, a := range token.Attr {
				if !slices.Contains(attributes, a.Name.Local) || a.Name.Space != "" {
					t.Fatalf("%s has an attribute %s in %.2000s", name, a.Name.Local, text)
				}
			}
			if name == "a" {
				checkLink(t, token.Attr)
			}
			if name != "br" && name != "hr" {
				open = append(open, name)
			}
			deepest = max(deepest, len(open))
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != token.Name.Local {
				t.Fatalf("%s ends within %v in %.2000s", token.Name.Local, open, text)
			}
			open = open[:len(open)-1]
		case xml.CharData:
		default:
			t.Fatalf("there is a %T in %.2000s", token, text)
		}
	}
	if len(open) > 0 {
		t.Fatalf("%v does not end in %.2000s", open, text)
	}
	return deepest
}

func checkLink(t *testing.T, attributes []xml.Attr) {
	t.Helper()
	if len(attributes) != 2 || attributes[1].Value != "noopener noreferrer nofollow" {
		t.Fatalf("a link has %v", attributes)
	}
	u, err := url.Parse(attributes[0].Value)
	if err != nil || !slices.Contains([]string{"http", "https", "mailto"}, u.Scheme) || u.Scheme != "mailto" && u.Host == "" {
		t.Fatalf("a link leads to %q: %v", attributes[0].Value, err)
	}
}

func FuzzNothingButAFewElementsComesOut(f *testing.F) {
	for _, seed := range []string{
		"", "*a* **b** `c`", "# a\n\nb\n===\n", "- a\n  1. b\n\n     c\n> d", "```\n<x>\n```", "[a](http://b.c 'd') ![e](f) <g@h.i> [j][k]\n\n[k]: http://l",
		"<script>x</script><!-- y --><a href=x onclick=y>", "&lt;&#0;&#x3c;&nbsp;\\<", "Raises:\n    A: b\n        c\n\nNote: d", "Returns\n---\na\n    b", ":raises A: b\n  c\n:rtype: d",
		".. note:: a\n   b\n\n.. code::\n\n  c", "a::\n\n  b", ">>> a\nb\n\nc", ":a:`b <c>` `d <http://e>`_", "[![a](http://b.c)](http://d.e) [<http://f.g>](http://h.i)", "__a__b__ ***c**d*",
		"www.a.bc?\"<>' http://a.bc/`x` [a](<http://b.c/\"x>)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		got := docstring.HTML(doc)
		check(t, got)
		if len(got) > 100*len(doc)+100 {
			t.Errorf("%d bytes become %d", len(doc), len(got))
		}
		if plain := docstring.Plain(doc); strings.ContainsAny(plain, "\n\r\t") || len(plain) > 4*len(doc)+16 {
			t.Errorf("%q is the text of %q", plain, doc)
		}
	})
}
