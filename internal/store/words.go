package store

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Texts are searched by words. They are cut and folded here and not by the
// databases, so that both find the same: lower case, without accents, "não"
// as "nao". What is no letter, digit or mark parts words, "nota_fiscal" too.
const (
	maxWords   = 256 // of a text, without repetitions; what is behind them is not found
	maxWordLen = 64  // runes; longer ones are cut, in texts and in questions
)

// joiner stands between the name of a keyword argument and a word of its value.
// No word holds it.
const joiner = "·"

// words are the words of text, each once, in the order they appear.
func words(text string) []string {
	var c collector
	c.addText("", text)
	return c.words
}

// argumentWords are the words of a call's arguments, and those of keyword
// arguments again with the name before them.
func argumentWords(arguments texts) []string {
	var c collector
	c.addText("", arguments[0])
	for name, value := range keywords(arguments[0]) {
		c.addText(foldName(name)+joiner, value)
	}
	return c.words
}

// errorWords are the words of an exception's type and message. The type counts
// by its parts too: "Timeout" finds JobTimeoutException.
func errorWords(failure texts) []string {
	class, message := failure[0], failure[1]
	var c collector
	c.addText("", class)
	c.addText("", humps(class))
	c.addText("", message)
	return c.words
}

// foldName is a name as one word: with what would part it left out.
func foldName(name string) string { return strings.Join(words(name), "") }

// collector gathers the words of texts.
type collector struct {
	words []string
	seen  map[string]bool
}

func (c *collector) addText(prefix, text string) {
	var b strings.Builder
	runes := 0
	flush := func() {
		if runes > 0 {
			c.add(prefix + b.String())
		}
		b.Reset()
		runes = 0
	}
	for _, r := range text {
		if len(c.words) >= maxWords {
			return
		}
		folded, part := fold(r)
		switch {
		case !part:
			flush()
		case folded != "" && runes < maxWordLen:
			b.WriteString(folded)
			runes++
		}
	}
	flush()
}

func (c *collector) add(word string) {
	if len(c.words) >= maxWords || c.seen[word] {
		return
	}
	if c.seen == nil {
		c.seen = make(map[string]bool, 16)
	}
	c.seen[word] = true
	c.words = append(c.words, word)
}

// fold is r in lower case and without its accent, and whether it is part of a
// word at all. A combining accent is part of one and folds to nothing.
func fold(r rune) (folded string, part bool) {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		return ascii[r : r+1], true
	case 'A' <= r && r <= 'Z':
		return ascii[r|0x20 : r|0x20+1], true
	case r < utf8.RuneSelf:
		return "", false
	case 0x300 <= r && r <= 0x36f:
		return "", true
	case !unicode.In(r, unicode.Letter, unicode.Number, unicode.Mark):
		return "", false
	}
	r = unicode.ToLower(r)
	switch r {
	case 'ß':
		return "ss", true
	case 'æ':
		return "ae", true
	case 'œ':
		return "oe", true
	case 'þ':
		return "th", true
	}
	for _, table := range []struct {
		first   rune
		letters string
	}{{0xc0, latin}, {0x1e00, latinMore}} {
		if i := int(r - table.first); i >= 0 && i < len(table.letters) && table.letters[i] != '.' {
			return table.letters[i : i+1], true
		}
	}
	return string(r), true
}

// Letters with accents and what they are without, from U+00C0 and from U+1E00;
// a dot where a letter stays as it is.
const (
	latin = "" +
		"aaaaaa.ceeeeiiiidnooooo.ouuuuy..aaaaaa.ceeeeiiiidnooooo.ouuuuy.yaaaaaaccccccccdd" +
		"ddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkk.llllll..llnnnnnn...oooooo..rrrrrrssssss" +
		"ssttttttuuuuuuuuuuuuwwyyyzzzzzzs................................oo.............u" +
		"u............................aaiioouuuuuuuuuu.aaaa....ggkkoooo..j...gg..nnaa...." +
		"aaaaeeeeiiiioooorrrruuuusstt..hh......aaeeooooooooyy............................"
	latinMore = "" +
		"aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooo" +
		"oooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy.s...." +
		"aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuu" +
		"uuyyyyyyyy......"
)

// ascii holds each letter and digit at its own place.
const ascii = "" +
	"................................" +
	"................0123456789......" +
	"................................" +
	".abcdefghijklmnopqrstuvwxyz....."

// humps parts words at the capitals within them: "HTTPError" into "HTTP Error".
func humps(text string) string {
	runes := []rune(text)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) &&
			(unicode.IsLower(runes[i-1]) || unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// keywords yields the keyword arguments of a call as Python would write it:
// name and text of the value. Text that was cut may end anywhere.
func keywords(arguments string) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for _, argument := range topLevel(arguments) {
			name, value, found := strings.Cut(argument, "=")
			name = strings.TrimSpace(name)
			if found && isName(name) && !strings.HasPrefix(value, "=") && !yield(name, value) {
				return
			}
		}
	}
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != ""
}

// topLevel cuts arguments at the commas that stand in no brackets and quotes.
func topLevel(arguments string) []string {
	var parts []string
	depth, start := 0, 0
	quote := byte(0)
	for i := 0; i < len(arguments); i++ {
		switch b := arguments[i]; {
		case quote != 0 && b == '\\':
			i++
		case quote != 0:
			if b == quote {
				quote = 0
			}
		case b == '\'' || b == '"':
			quote = b
		case strings.IndexByte("([{", b) >= 0:
			depth++
		case strings.IndexByte(")]}", b) >= 0:
			depth = max(depth-1, 0)
		case b == ',' && depth == 0:
			parts = append(parts, arguments[start:i])
			start = i + 1
		}
	}
	return slices.Concat(parts, []string{arguments[start:]})
}
