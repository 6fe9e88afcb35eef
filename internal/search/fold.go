package search

import (
	"strings"
	"unicode"
)

// accented are the letters whose marks Fold drops, each behind the letter it
// becomes: those of the languages that write Latin letters with marks.
const accented = "aàáâãäåāăąǎ cçćĉċč dďđ eèéêëēĕėęě gĝğġģ hĥħ iìíîïĩīĭįıǐ jĵ kķ lĺļľŀł nñńņňŉ " +
	"oòóôõöøōŏőǒ rŕŗř sśŝşšș tţťŧț uùúûüũūŭůűųǔ wŵ yýÿŷ zźżž"

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
	return strings.Map(foldRune, s)
}

func foldRune(r rune) rune {
	if r < 0x80 {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	if unicode.Is(unicode.Mn, r) {
		return -1
	}
	r = unicode.ToLower(r)
	if r < 0x80 {
		return r // the Kelvin sign
	}
	i := strings.IndexRune(accented, r)
	if i < 0 {
		return r
	}
	return rune(accented[strings.LastIndexByte(" "+accented[:i], ' ')])
}

// Words are the runs of letters and digits in a text, folded. A store that
// indexes texts by their words keeps them as Words makes them.
func Words(s string) []string {
	return strings.FieldsFunc(Fold(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
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
