package store

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Texts are searched by words, as package search cuts and folds them: not by the
// databases, so that both find the same.
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
	for name, value := range search.Keywords(arguments[0]) {
		c.addText(foldName(name)+joiner, value)
	}
	return c.words
}

// errorWords are the words of an exception's type and message. The type counts
// by its parts too.
func errorWords(failure texts) []string {
	class, message := failure[0], failure[1]
	var c collector
	c.addText("", class)
	c.addText("", search.Humps(class))
	c.addText("", message)
	return c.words
}

// foldName is a name as one word: with what would part it left out.
func foldName(name string) string { return strings.Join(words(name), "") }

// collector gathers the words of texts.
type collector struct {
	words []string
	seen  map[string]bool // of many words; few are compared one by one, which is quicker
}

// fewWords are compared one by one.
const fewWords = 24

func (c *collector) addText(prefix, text string) {
	for _, word := range search.Words(text) {
		if len(c.words) >= maxWords {
			return
		}
		c.add(prefix + cutWord(word))
	}
}

func (c *collector) add(word string) {
	switch {
	case c.seen[word], c.seen == nil && slices.Contains(c.words, word):
		return
	case c.seen != nil:
		c.seen[word] = true
	case len(c.words) == fewWords:
		c.seen = make(map[string]bool, 4*fewWords)
		for _, w := range c.words {
			c.seen[w] = true
		}
		c.seen[word] = true
	}
	c.words = append(c.words, word)
}

func cutWord(word string) string {
	if len(word) <= maxWordLen || utf8.RuneCountInString(word) <= maxWordLen {
		return word
	}
	return string([]rune(word)[:maxWordLen])
}

// Functions that SQLite's statements call: whether the texts of an execution
// hold words, exactly as the tables of words would say.
const (
	argumentsHold = "distro_arguments_hold" // arguments, terms
	errorHolds    = "distro_error_holds"    // type, message, terms
)

// wordFunctions are those functions.
func wordFunctions() map[string]sqldb.Function {
	return map[string]sqldb.Function{
		argumentsHold: {Arity: 2, Call: func(t []string) bool { return holdAll(argumentWords(texts{t[0]}), t[1]) }},
		errorHolds:    {Arity: 3, Call: func(t []string) bool { return holdAll(errorWords(texts{t[0], t[1]}), t[2]) }},
	}
}

// writeTerms is terms as one text: words hold neither spaces nor stars.
func writeTerms(terms []term) string {
	parts := make([]string, len(terms))
	for i, t := range terms {
		if parts[i] = t.word; t.prefix {
			parts[i] += "*"
		}
	}
	return strings.Join(parts, " ")
}

// holdAll reports whether words hold every one of terms.
func holdAll(words []string, terms string) bool {
	for t := range strings.SplitSeq(terms, " ") {
		beginning, prefix := strings.CutSuffix(t, "*")
		if !slices.ContainsFunc(words, func(w string) bool { return w == beginning || prefix && strings.HasPrefix(w, beginning) }) {
			return false
		}
	}
	return true
}
