package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a settings file. A file beyond them is not one.
const (
	maxFileSize = 1 << 20
	maxEntries  = 1000
)

// entry is one assignment of an INI file.
type entry struct {
	name  string // lower case
	value string // the lines of the value, joined by "\n"
	line  int    // where the name stands, from 1
	more  int    // line of the first further line of the value; 0: it has one line
}

// lineError is an error at a line of the file, which its reader names.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.text) }

func errorAt(line int, format string, args ...any) error {
	return &lineError{line, fmt.Sprintf(format, args...)}
}

// parseINI reads an INI file as Python's configparser does with its defaults
// and no interpolation: "=" or ":" divides name and value, whichever comes
// first; a line whose first character is "#" or ";" is a comment, and nothing
// else is; lines indented deeper than the name go on with its value; quotes
// and "%" mean nothing. Unlike configparser it needs no section, merges the
// keys of all sections, and does not care about bytes that are not UTF-8 in
// comments.
func parseINI(data []byte) ([]entry, error) {
	text, err := decode(data)
	if err != nil {
		return nil, err
	}
	var p iniParser
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(i+1, line); err != nil {
			return nil, err
		}
	}
	p.finish()
	return p.entries, nil
}

func decode(data []byte) (string, error) {
	if len(data) > maxFileSize {
		return "", errorAt(1, "the file is larger than %d bytes", maxFileSize)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return "", errorAt(1, "the file is UTF-16: save it as UTF-8")
	}
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), nil
}

type iniParser struct {
	entries []entry
	lines   []string // of the value of the last entry
	open    bool     // the last entry may go on
	indent  int      // of its name
}

func (p *iniParser) line(number int, line string) error {
	text := strings.TrimSpace(line)
	switch {
	case text == "":
		if p.open { // blank lines belong to a value that goes on behind them
			p.lines = append(p.lines, "")
		}
		return nil
	case text[0] == '#' || text[0] == ';':
		return nil
	case !utf8.ValidString(text):
		return errorAt(number, "not UTF-8 text: save the file as UTF-8")
	}
	indent := len(line) - len(strings.TrimLeftFunc(line, unicode.IsSpace))
	if p.open && indent > p.indent {
		last := &p.entries[len(p.entries)-1]
		if last.more == 0 {
			last.more = number
		}
		p.lines = append(p.lines, text)
		return nil
	}
	p.finish()
	if text[0] == '[' {
		return section(number, text)
	}
	return p.assignment(number, indent, text)
}

func section(number int, text string) error {
	if strings.LastIndexByte(text, ']') < 2 {
		return errorAt(number, "a section is written [name]")
	}
	return nil
}

func (p *iniParser) assignment(number, indent int, text string) error {
	at := strings.IndexAny(text, "=:")
	if at < 0 {
		return errorAt(number, "%s has no value: write name = value", quote(text))
	}
	name := strings.ToLower(strings.TrimSpace(text[:at]))
	if name == "" {
		return errorAt(number, "no name before %q: write name = value", text[at:at+1])
	}
	if len(p.entries) == maxEntries {
		return errorAt(number, "more than %d settings", maxEntries)
	}
	p.entries = append(p.entries, entry{name: name, line: number})
	p.lines, p.open, p.indent = []string{strings.TrimSpace(text[at+1:])}, true, indent
	return nil
}

// finish closes the last entry. Blank lines at the end of its value are not
// part of it.
func (p *iniParser) finish() {
	if p.open {
		value := strings.TrimRight(strings.Join(p.lines, "\n"), "\n")
		p.entries[len(p.entries)-1].value = value
	}
	p.open, p.lines = false, nil
}

// place names err's line in the file as "config.cfg:7: …".
func place(file string, err error) error {
	if at, ok := errors.AsType[*lineError](err); ok {
		return invalid("%s:%d: %s", file, at.line, at.text)
	}
	return err
}
