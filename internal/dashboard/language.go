package dashboard

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

//go:embed text
var texts embed.FS

// language is one of the languages of the pages.
type language struct {
	tag      string             // BCP 47
	messages map[string]message // by key
	decimal  string
	thousand string
}

// message is a text, or a text for each plural form of CLDR that differs.
type message struct {
	One, Other string
}

// UnmarshalJSON reads a text or an object of forms.
func (m *message) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &m.Other)
	}
	var forms struct{ One, Other string }
	err := json.Unmarshal(b, &forms)
	*m = message(forms)
	return err
}

// readLanguages reads the catalogues. The first is for those who ask for no
// language.
func readLanguages() ([]*language, error) {
	list := []*language{
		{tag: "pt-BR", decimal: ",", thousand: "."},
		{tag: "en", decimal: ".", thousand: ","},
	}
	for _, l := range list {
		text, err := texts.ReadFile("text/" + l.tag + ".json")
		if err != nil {
			return nil, fmt.Errorf("read texts: %w", err)
		}
		if err := json.Unmarshal(text, &l.messages); err != nil {
			return nil, fmt.Errorf("read texts of %s: %w", l.tag, err)
		}
	}
	return list, nil
}

func (l *language) base() string { base, _, _ := strings.Cut(l.tag, "-"); return base }

// T is the text of a key. {0}, {1}… in it stand for args. A key without a text
// is shown as it is; a test finds these.
func (l *language) T(key string, args ...any) string {
	m, ok := l.messages[key]
	if !ok {
		return key
	}
	return fill(m.Other, args)
}

// N is the text of a key for a number, which is {0} in it.
func (l *language) N(key string, n int, args ...any) string {
	m, ok := l.messages[key]
	if !ok {
		return key
	}
	text := m.Other
	if l.singular(n) && m.One != "" {
		text = m.One
	}
	return fill(text, append([]any{l.number(n)}, args...))
}

// singular is CLDR's form "one" for whole numbers.
func (l *language) singular(n int) bool { return n == 1 || n == 0 && l.base() == "pt" }

func fill(text string, args []any) string {
	for i, arg := range args {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i)+"}", fmt.Sprint(arg))
	}
	return text
}

// number writes a whole number with its thousands parted.
func (l *language) number(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + l.thousand + digits[at:]
	}
	return sign + digits
}

// fraction writes a number with so many places behind the point.
func (l *language) fraction(v float64, places int) string {
	text := strconv.FormatFloat(v, 'f', places, 64)
	whole, rest, found := strings.Cut(text, ".")
	n, err := strconv.Atoi(whole)
	if err != nil {
		return text
	}
	if !found {
		return l.number(n)
	}
	return l.number(n) + l.decimal + rest
}

// scripted are the texts that scripts show, by key.
func (l *language) scripted() map[string]message {
	texts := map[string]message{}
	for key, m := range maps.All(l.messages) {
		if strings.HasPrefix(key, "js.") {
			texts[key] = m
		}
	}
	return texts
}
