package signature

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// Docstring is what a docstring says, in the manner of Google, NumPy or Sphinx,
// in English or Portuguese.
type Docstring struct {
	Summary    string // its first paragraph
	Text       string // the rest, without what it says of parameters
	Parameters map[string]Described
}

// Described is what a docstring says of one parameter.
type Described struct {
	Type string // as it stands there; empty: nothing
	Text string // as it stands there, without its indentation
}

var (
	parameterSection = regexp.MustCompile(`(?i)^(args|arguments|parameters|params|keyword args|keyword arguments|other parameters|attributes|par[âa]metros|argumentos)\s*:?$`)
	otherSection     = regexp.MustCompile(`(?i)^(returns?|yields?|raises|notes?|examples?|see also|todo|warnings?|retorna|retorno|exce[çc][õo]es|lan[çc]a|exemplos?|notas?|obs|observa[çc][õo]es)\s*:`)
	googleEntry      = regexp.MustCompile("^[-*]?\\s*`{0,2}\\*{0,2}(\\w+)`{0,2}\\s*(?:\\((.*?)\\))?\\s*(?::|–|—| - )\\s*(.*)$")
	numpyEntry       = regexp.MustCompile(`^\*{0,2}(\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::\s*(.*))?$`)
	sphinxParameter  = regexp.MustCompile(`^[:@](?:param|parameter|arg|argument|key|keyword)\s+(?:([^:]+?)\s+)?\*{0,2}(\w+)\s*:\s*(.*)$`)
	sphinxType       = regexp.MustCompile(`^[:@]type\s+\*{0,2}(\w+)\s*:\s*(.*)$`)
	sphinxField      = regexp.MustCompile(`^[:@](?:returns?|rtype|raises?|yields?|var|cvar|ivar)\b`)
	blankLines       = regexp.MustCompile(`\n(?:[ \t]*\n){2,}`)
	underline        = regexp.MustCompile(`^(-{3,}|={3,})$`)
)

// ReadDocstring reads a docstring whose indentation was cleaned, as
// inspect.cleandoc does it.
func ReadDocstring(text string) Docstring {
	d := docReader{found: Docstring{Parameters: map[string]Described{}}, lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")}
	for d.at < len(d.lines) {
		d.next()
	}
	d.split()
	return d.found
}

type docReader struct {
	found Docstring
	lines []string
	at    int
	rest  []string // lines that are about no parameter
}

// next reads one line, with those that belong to it.
func (d *docReader) next() {
	line := strings.TrimSpace(d.lines[d.at])
	switch {
	case parameterSection.MatchString(line) && d.underlined():
		d.at += 2
		d.numpy()
	case parameterSection.MatchString(line) && strings.HasSuffix(line, ":") && d.deeper(d.at+1, indent(d.lines[d.at])):
		d.at++
		d.google(indent(d.lines[d.at-1]))
	case sphinxParameter.MatchString(line):
		m := sphinxParameter.FindStringSubmatch(line)
		d.at++
		d.add(m[2], m[1], m[3]+d.continued(indent(d.lines[d.at-1])))
	case sphinxType.MatchString(line):
		m := sphinxType.FindStringSubmatch(line)
		d.at++
		d.add(m[1], m[2], "")
	default:
		d.rest = append(d.rest, d.lines[d.at])
		d.at++
	}
}

func (d *docReader) underlined() bool {
	return d.at+1 < len(d.lines) && underline.MatchString(strings.TrimSpace(d.lines[d.at+1]))
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// deeper reports whether the next line with text is further in than depth.
func (d *docReader) deeper(at, depth int) bool {
	for ; at < len(d.lines); at++ {
		if strings.TrimSpace(d.lines[at]) != "" {
			return indent(d.lines[at]) > depth
		}
	}
	return false
}

// continued takes the lines that are further in than depth, each behind a line
// break, without what they have in common before them.
func (d *docReader) continued(depth int) string {
	start, common := d.at, -1
	for ; d.at < len(d.lines); d.at++ {
		line := d.lines[d.at]
		if strings.TrimSpace(line) == "" {
			if !d.deeper(d.at, depth) {
				break
			}
			continue
		}
		if indent(line) <= depth {
			break
		}
		if common < 0 || indent(line) < common {
			common = indent(line)
		}
	}
	var b strings.Builder
	for _, line := range d.lines[start:d.at] {
		b.WriteString("\n" + strings.TrimRight(line[min(max(common, 0), indent(line)):], " \t"))
	}
	return b.String()
}

// google reads "name (type): text" below a heading that stands at depth.
func (d *docReader) google(depth int) {
	entries := -1
	for d.at < len(d.lines) {
		line := d.lines[d.at]
		if strings.TrimSpace(line) == "" {
			if !d.deeper(d.at, depth) {
				return
			}
			d.at++
			continue
		}
		if indent(line) <= depth {
			return
		}
		if entries < 0 {
			entries = indent(line)
		}
		m := googleEntry.FindStringSubmatch(strings.TrimSpace(line))
		d.at++
		if m == nil || indent(line) > entries {
			continue
		}
		d.add(m[1], m[2], m[3]+d.continued(entries))
	}
}

// numpy reads "name : type" with the text below it, up to the next heading.
func (d *docReader) numpy() {
	for d.at < len(d.lines) {
		line := d.lines[d.at]
		if strings.TrimSpace(line) == "" {
			d.at++
			continue
		}
		if d.underlined() {
			return
		}
		m := numpyEntry.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || indent(line) > 0 || otherSection.MatchString(strings.TrimSpace(line)) {
			return
		}
		d.at++
		text := d.continued(indent(line))
		for name := range strings.SplitSeq(m[1], ",") {
			d.add(strings.Trim(name, " *"), m[2], text)
		}
	}
}

func (d *docReader) add(name, kind, text string) {
	if len(d.found.Parameters) == 1000 {
		return
	}
	p := d.found.Parameters[name]
	if kind = strings.TrimSpace(kind); kind != "" {
		p.Type = kind
	}
	if text = strings.TrimSpace(text); text != "" {
		p.Text = text
	}
	d.found.Parameters[name] = p
}

// split parts what is about no parameter into the first paragraph and the rest.
func (d *docReader) split() {
	text := strings.TrimSpace(strings.Join(d.rest, "\n"))
	var first []string
	lines := strings.Split(text, "\n")
	for len(lines) > 0 && strings.TrimSpace(lines[0]) != "" {
		line := strings.TrimSpace(lines[0])
		if len(first) > 0 && (otherSection.MatchString(line) || sphinxField.MatchString(line)) {
			break
		}
		first, lines = append(first, strings.TrimRight(lines[0], " \t")), lines[1:]
	}
	d.found.Summary = strings.Join(first, "\n")
	d.found.Text = blankLines.ReplaceAllString(strings.TrimSpace(strings.Join(lines, "\n")), "\n\n")
}

// Documented is f with what its docstring alone says: types of parameters that
// have no annotation, and bounds of numbers.
func Documented(f distro.Function) (distro.Function, Docstring) {
	doc := ReadDocstring(f.Doc)
	parameters := make([]distro.Parameter, len(f.Parameters))
	for i, p := range f.Parameters {
		said := doc.Parameters[p.Name]
		if p.Annotation == "" && said.Type != "" {
			p.Annotation = spoken(said.Type)
		}
		if low, high, ok := ranged(said.Text); ok && numeric(p) {
			p.Annotation = "Annotated[" + p.Annotation + ", Field(ge=" + low + ", le=" + high + ")]"
		}
		parameters[i] = p
	}
	f.Parameters = parameters
	return f, doc
}

func numeric(p distro.Parameter) bool {
	switch strings.TrimSpace(p.Annotation) {
	case "int", "float", "Decimal", "decimal.Decimal":
		return true
	}
	return false
}

var (
	bothBounds = regexp.MustCompile(`(?i)(?:\b(?:entre|between|de|from)\s+(-?\d+(?:\.\d+)?)\s+(?:e|and|a|at[ée]|to)\s+(-?\d+(?:\.\d+)?)\b)|[([](-?\d+(?:\.\d+)?)\s*(?:-|–|\.\.|,)\s*(-?\d+(?:\.\d+)?)[)\]]`)
	choices    = regexp.MustCompile(`^\{(.+)\}`)
	listOf     = regexp.MustCompile(`(?i)^(?:lista|list|sequence|tupla|tuple|set|conjunto|iterable|array)(?:\s+(?:de|of)\s+|\s*\[\s*)(\w+?)s?\]?$`)
	optional   = regexp.MustCompile(`(?i)\s*[,;]\s*(?:optional|opcional|default\b.*|padr[ãa]o\b.*|keyword-only|positional-only)`)
)

// ranged finds the bounds that a text names.
func ranged(text string) (low, high string, ok bool) {
	m := bothBounds.FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	low, high = m[1]+m[3], m[2]+m[4]
	a, err := strconv.ParseFloat(low, 64)
	b, problem := strconv.ParseFloat(high, 64)
	return low, high, err == nil && problem == nil && a < b
}

// spoken is the annotation that the words of a docstring mean; the words
// themselves where nothing is known of them.
func spoken(words string) string {
	words = strings.Trim(strings.TrimSpace(optional.ReplaceAllString(words, "")), "`:")
	if m := choices.FindStringSubmatch(words); m != nil {
		return "Literal[" + m[1] + "]"
	}
	for _, between := range []string{" or ", " ou ", " | "} {
		if strings.Contains(words, between) {
			var parts []string
			for part := range strings.SplitSeq(words, between) {
				parts = append(parts, spoken(part))
			}
			return strings.Join(parts, " | ")
		}
	}
	if m := listOf.FindStringSubmatch(words); m != nil {
		return "list[" + spoken(m[1]) + "]"
	}
	return ordinary(words)
}

// ordinary is the annotation that a word of people means.
func ordinary(words string) string {
	switch strings.ToLower(strings.Trim(words, "~")) {
	case "string", "texto", "text", "char", "strings":
		return "str"
	case "integer", "inteiro", "number of", "ints":
		return "int"
	case "number", "numeric", "número", "numero", "decimal", "real", "double":
		return "float"
	case "boolean", "booleano", "lógico", "logico":
		return "bool"
	case "dictionary", "dicionário", "dicionario":
		return "dict"
	case "lista", "array", "sequence", "iterable":
		return "list"
	case "data":
		return "date"
	case "data e hora", "timestamp":
		return "datetime"
	case "path-like", "file path", "filepath", "caminho", "path":
		return "Path"
	case "none", "nulo", "null":
		return "None"
	}
	return words
}
