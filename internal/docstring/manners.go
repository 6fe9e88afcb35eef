package docstring

import (
	"regexp"
	"strings"
)

// What docstrings have that Markdown has not.
var (
	fence     = regexp.MustCompile("^(`{3,}|~{3,})[^`]*$")
	doctest   = regexp.MustCompile(`^>>>(?: |$)`)
	directive = regexp.MustCompile(`^\.\. ([A-Za-z][\w-]*)::[ \t]*(.*)$`)
	option    = regexp.MustCompile(`^:[\w-]+:`)
	field     = regexp.MustCompile(`^[:@]([A-Za-z]+)(?:[ \t]+([^:\x60]{1,200}))?:(?:[ \t]+(.*))?$`)
	heading   = regexp.MustCompile(`(?i)^(args|arguments|parameters|params|keyword arguments|other parameters|attributes|par[âa]metros|argumentos|returns?|yields?|raises|warns|` +
		`notes?|examples?|see also|references|todo|warnings?|retorna|retorno|exce[çc][õo]es|lan[çc]a|exemplos?|notas?|obs|observa[çc][õo]es|aten[çc][ãa]o|veja tamb[ée]m):(?:[ \t]+(.*))?$`)
	entry     = regexp.MustCompile(`^(\*{0,2}[\w.]+(?:\[[\w., |\[\]]*\])?(?: \| [\w.]+)*)(?: \(([^()]{1,200})\))?:[ \t]+(.*)$`)
	role      = regexp.MustCompile("(^|[^\\w`:]):(?:[A-Za-z][A-Za-z0-9_+.-]{0,30}:){1,3}`(?:[^`<]{0,200}<)?[~!]?([^`<>\n]{1,200})>?`")
	named     = regexp.MustCompile("(^|[^`])`([^`<>\\[\\]\\n]{1,200}?)[ \\t]*<((?:https?://|mailto:)[^`<>\\s]{1,1000})>`__?")
	underline = regexp.MustCompile(`^(?:-{3,}|={3,})[ \t]*$`)
	item      = regexp.MustCompile(`^(?:[-*+]|\d{1,9}[.)])[ \t]`)
)

// markdown rewrites what Google, NumPy and Sphinx have docstrings look like: examples
// of doctest, sections, fields, directives, literal blocks and roles.
func markdown(doc string) string {
	m := &manners{}
	doc = strings.ReplaceAll(strings.ReplaceAll(doc, "\r\n", "\n"), "\r", "\n")
	m.rewrite(strings.Split(doc, "\n"), 0)
	return strings.Join(m.out, "\n")
}

type manners struct {
	out []string
	in  []string // the lines of what is being rewritten
	at  int
}

func (m *manners) put(lines ...string) { m.out = append(m.out, lines...) }

// rewrite rewrites lines that are so deep within sections.
func (m *manners) rewrite(lines []string, depth int) {
	in, at := m.in, m.at
	m.in, m.at = lines, 0
	for m.at < len(m.in) {
		m.next(depth)
	}
	m.in, m.at = in, at
}

func (m *manners) next(depth int) {
	line := m.in[m.at]
	in := indent(line)
	bare := strings.TrimSpace(line)
	switch {
	case bare == "":
		m.put("")
		m.at++
	case m.underlines():
		m.put("---")
		m.at++
	case fence.MatchString(bare):
		m.fenced()
	case doctest.MatchString(bare):
		m.example(in)
	case directive.MatchString(bare):
		m.directive(in, directive.FindStringSubmatch(bare), depth)
	case strings.HasSuffix(bare, "::") && m.deeper(m.at+1, in):
		m.literal(in)
	case heading.MatchString(bare+":") && m.underlined():
		m.numpy(bare)
	case heading.MatchString(bare) && depth < maxDepth && (in == 0 || m.deeper(m.at+1, in)):
		m.section(in, heading.FindStringSubmatch(bare), depth)
	case fieldOf(bare) != nil:
		m.field(in, fieldOf(bare))
	default:
		m.put(spoken(line))
		m.at++
	}
}

// underlined reports whether a line at the margin has one below it that makes it a
// heading, as NumPy has it.
func (m *manners) underlined() bool {
	return indent(m.in[m.at]) == 0 && m.at+1 < len(m.in) && underline.MatchString(m.in[m.at+1])
}

// literal puts a literal block. The line before it ends in a colon, if it says
// something.
func (m *manners) literal(depth int) {
	line := strings.TrimRight(strings.TrimSuffix(strings.TrimRight(m.in[m.at], " \t"), "::"), " \t")
	if line != "" {
		line = spoken(line) + ":"
	}
	m.put(line)
	m.at++
	m.code(m.body(depth), "")
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// deeper reports whether the next line with text is further in than depth.
func (m *manners) deeper(at, depth int) bool {
	for ; at < len(m.in); at++ {
		if strings.TrimSpace(m.in[at]) != "" {
			return indent(m.in[at]) > depth
		}
	}
	return false
}

// body takes the lines that are further in than depth, without what they have
// in common before them.
func (m *manners) body(depth int) []string {
	start, common := m.at, -1
	end := m.at
	for ; m.at < len(m.in); m.at++ {
		line := m.in[m.at]
		if strings.TrimSpace(line) == "" {
			continue
		}
		if indent(line) <= depth {
			break
		}
		if common < 0 || indent(line) < common {
			common = indent(line)
		}
		end = m.at + 1
	}
	m.at = end
	var body []string
	for _, line := range m.in[start:end] {
		body = append(body, line[min(max(common, 0), indent(line)):])
	}
	for len(body) > 0 && strings.TrimSpace(body[0]) == "" {
		body = body[1:]
	}
	return body
}

// code puts lines as they are; before stands in front of each.
func (m *manners) code(lines []string, before string) {
	longest := 2
	for _, line := range lines {
		run := 0
		for _, c := range line {
			if c != '`' {
				run = 0
				continue
			}
			run++
			longest = max(longest, run)
		}
	}
	ticks := before + strings.Repeat("`", longest+1)
	m.put("", ticks)
	for _, line := range lines {
		m.put(before + line)
	}
	m.put(ticks, "")
}

// fenced copies code that is fenced.
func (m *manners) fenced() {
	mark := fence.FindStringSubmatch(strings.TrimSpace(m.in[m.at]))[1]
	m.put(m.in[m.at])
	for m.at++; m.at < len(m.in); m.at++ {
		line := strings.TrimSpace(m.in[m.at])
		m.put(m.in[m.at])
		if strings.HasPrefix(line, mark) && strings.Trim(line, mark[:1]) == "" {
			m.at++
			return
		}
	}
}

// underlines reports whether a line makes a heading of the one before it, as reST
// has it: with any sign, and at least as long.
func (m *manners) underlines() bool {
	if m.at == 0 {
		return false
	}
	line, title := strings.TrimRight(m.in[m.at], " \t"), strings.TrimSpace(m.in[m.at-1])
	return len(line) >= 3 && strings.Trim(line, line[:1]) == "" && strings.Contains("~^\"'+#", line[:1]) && title != "" && len([]rune(title)) <= len(line)
}

// example puts what doctest runs, up to an empty line. What is further in than a
// list would have it is code by itself else, or the end of a paragraph.
func (m *manners) example(depth int) {
	var lines []string
	for ; m.at < len(m.in) && strings.TrimSpace(m.in[m.at]) != ""; m.at++ {
		line := m.in[m.at]
		lines = append(lines, line[min(depth, indent(line)):])
	}
	m.code(lines, strings.Repeat(" ", min(depth, 3)))
}

// directive puts what a directive of reST has below it.
func (m *manners) directive(depth int, found []string, within int) {
	name, argument := strings.ToLower(found[1]), found[2]
	m.at++
	goesOn := m.at < len(m.in) && strings.TrimSpace(m.in[m.at]) != ""
	body := m.body(depth)
	for len(body) > 0 && (option.MatchString(body[0]) || strings.TrimSpace(body[0]) == "") {
		body = body[1:]
	}
	switch name {
	case "code-block", "code", "sourcecode", "parsed-literal", "doctest", "testcode", "testoutput", "math", "productionlist", "highlight":
		if len(body) == 0 && name == "math" {
			body = []string{argument}
		}
		if len(body) > 0 {
			m.code(body, "")
		}
		return
	}
	m.put("", strings.TrimSpace("**"+upper(name)+":** "+spoken(argument)))
	if !goesOn || argument == "" {
		m.put("")
	}
	if within < maxDepth {
		m.rewrite(body, within+1)
	} else {
		m.put(body...)
	}
	m.put("")
}

// section puts a section as Google has it: its name, and below it entries like
// "ValueError: why", or text.
func (m *manners) section(depth int, found []string, within int) {
	m.at++
	m.put("", strings.TrimSpace("**"+found[1]+":** "+spoken(found[2])))
	if found[2] != "" || !m.deeper(m.at, depth) {
		return
	}
	m.put("")
	body := m.body(depth)
	if entry.MatchString(body[0]) && !doctest.MatchString(body[0]) {
		for i, line := range body {
			if e := entry.FindStringSubmatch(line); e != nil {
				kind := ""
				if e[2] != "" {
					kind = " (" + spoken(e[2]) + ")"
				}
				body[i] = "- `" + e[1] + "`" + kind + ": " + e[3]
			} else if line != "" {
				body[i] = "  " + strings.TrimLeft(line, " \t")
			}
		}
	}
	m.rewrite(body, within+1)
	m.put("")
}

// numpy puts the heading of a section as NumPy has it, and below it entries like
// "float" with what is said of them further in.
func (m *manners) numpy(name string) {
	m.at += 2
	m.put("", "**"+name+"**", "")
	for m.at < len(m.in) {
		line := strings.TrimSpace(m.in[m.at])
		if line == "" {
			m.at++
			continue
		}
		if indent(m.in[m.at]) > 0 || strings.Contains(line, "`") || doctest.MatchString(line) || item.MatchString(line) || !m.deeper(m.at+1, 0) {
			break
		}
		m.at++
		m.put("- `" + line + "`:")
		for _, text := range m.body(0) {
			m.put("  " + spoken(text))
		}
	}
	m.put("")
}

// fieldOf is what a field of Sphinx or Epytext says, like ":raises ValueError:
// why"; nil: it is none.
func fieldOf(line string) []string {
	found := field.FindStringSubmatch(line)
	if found == nil {
		return nil
	}
	switch strings.ToLower(found[1]) {
	case "param", "parameter", "arg", "argument", "key", "keyword", "type", "returns", "return", "rtype", "raises", "raise", "except", "exception",
		"throws", "yields", "yield", "ytype", "var", "ivar", "cvar", "vartype", "see", "note", "warning", "author", "since", "deprecated", "todo", "example", "meta":
		return found
	}
	return nil
}

// field puts a field as an item of a list, with the lines that go on with it.
func (m *manners) field(depth int, found []string) {
	m.at++
	name, of, text := upper(strings.ToLower(found[1])), strings.TrimSpace(found[2]), found[3]
	if before, isType := strings.CutSuffix(name, "type"); isType {
		name = map[string]string{"R": "Return type", "Y": "Yield type", "Var": "Type", "": "Type"}[before]
		if text != "" && !strings.Contains(text, "`") {
			text = "`" + text + "`"
		}
	}
	name = "**" + name + "**"
	if of != "" {
		name += " `" + of + "`"
	}
	if n := len(m.out); n > 0 && m.out[n-1] != "" && !item.MatchString(m.out[n-1]) && !strings.HasPrefix(m.out[n-1], "  ") {
		m.put("")
	}
	m.put(strings.TrimSuffix("- "+name+": "+spoken(text), ": "))
	for ; m.at < len(m.in) && strings.TrimSpace(m.in[m.at]) != "" && indent(m.in[m.at]) > depth; m.at++ {
		m.put("  " + spoken(strings.TrimSpace(m.in[m.at])))
	}
}

// upper begins a word with a capital.
func upper(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// spoken is a line with roles and links of reST as Markdown has them.
func spoken(line string) string {
	if indent(line) >= 4 || !strings.Contains(line, "`") {
		return line // code, or nothing of them
	}
	line = role.ReplaceAllString(line, "${1}`$2`")
	return named.ReplaceAllString(line, "${1}[$2](<$3>)")
}
