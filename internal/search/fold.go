package search

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

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

// Fold makes texts equal that differ in case and accents only. What is folded
// stays as it is when it is folded again. A store that compares folded texts
// compares as this package does.
func Fold(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || 'A' <= c && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		foldRune(&b, r)
	}
	return b.String()
}

// foldRune writes a letter in lower case and without its accent; a combining
// accent is nothing.
func foldRune(b *strings.Builder, r rune) {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		b.WriteByte(byte(r))
		return
	}
	if unicode.Is(unicode.Mn, r) {
		return
	}
	r = unicode.ToLower(r)
	switch r {
	case 'ß':
		b.WriteString("ss")
		return
	case 'æ':
		b.WriteString("ae")
		return
	case 'œ':
		b.WriteString("oe")
		return
	case 'þ':
		b.WriteString("th")
		return
	}
	for _, table := range [...]struct {
		first   rune
		letters string
	}{{0xc0, latin}, {0x1e00, latinMore}} {
		if i := int(r - table.first); i >= 0 && i < len(table.letters) && table.letters[i] != '.' {
			b.WriteByte(table.letters[i])
			return
		}
	}
	b.WriteRune(r)
}

// Words are the runs of letters and digits in a text, folded. A store that
// indexes texts by their words keeps them as Words makes them.
func Words(s string) []string {
	return strings.FieldsFunc(Fold(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// Humps parts words at the capitals within them: "HTTPError" into "HTTP Error".
func Humps(text string) string {
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

// hasPhrase reports whether words stand beside each other in a text; the last
// may be the beginning of one unless exact is set.
func hasPhrase(text string, words []string, exact bool) bool {
	have := Words(text)
	last := len(words) - 1
	for at := 0; at+last < len(have); at++ {
		n := 0
		for n < last && have[at+n] == words[n] {
			n++
		}
		if n == last && (have[at+n] == words[n] || !exact && strings.HasPrefix(have[at+n], words[n])) {
			return true
		}
	}
	return false
}

// glob reports whether a text is one that a pattern means, in which * stands
// for any characters.
func glob(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return text == pattern
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for {
		part, behind, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		// The first place is as good as any: what follows may lie farther.
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], behind
	}
}
