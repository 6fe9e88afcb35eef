package main

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro/internal/docstring"
)

// clean is text in one line in which nothing acts on a terminal: control
// characters, invisible ones and broken UTF-8 are shown as Go escapes.
func clean(text string) string {
	return escape(text, strconv.IsPrint)
}

// cleanBlock is clean for text of several lines.
func cleanBlock(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return escape(text, func(r rune) bool { return r == '\n' || r == '\t' || strconv.IsPrint(r) })
}

// colorSequence is what a job's output may do to a terminal: colours and
// attributes of the text that follows.
var colorSequence = regexp.MustCompile("\x1b\\[[0-9;:]{0,64}m")

// resetColors ends what a colorSequence began.
const resetColors = "\x1b[0m"

// cleanOutput is a line of a job's output for a terminal: colours stay, if the
// terminal takes any, other control sequences become visible. As on a terminal,
// what follows a carriage return replaces what stood before it.
func cleanOutput(line string, colors bool) string {
	line = strings.TrimRight(line, "\r")
	line = line[strings.LastIndexByte(line, '\r')+1:]
	keep := func(r rune) bool { return r == '\t' || strconv.IsPrint(r) }
	var b strings.Builder
	colored, from := false, 0
	for _, at := range colorSequence.FindAllStringIndex(line, -1) {
		b.WriteString(escape(line[from:at[0]], keep))
		if colors {
			b.WriteString(line[at[0]:at[1]])
			colored = true
		}
		from = at[1]
	}
	b.WriteString(escape(line[from:], keep))
	if colored {
		b.WriteString(resetColors)
	}
	return b.String()
}

// escape writes the runes that keep refuses as Go escapes.
func escape(text string, keep func(rune) bool) string {
	var b strings.Builder
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				b.WriteString(`\x` + strconv.FormatUint(uint64(text[i])|0x100, 16)[1:])
				continue
			}
		}
		if keep(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// firstLine is the first line of a docstring that is not blank, without markup.
func firstLine(doc string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(doc), "\n")
	return docstring.Plain(line)
}
