package signature

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
)

// Spelled is an argument of a call as Python's repr spells it.
type Spelled struct {
	Name   string // empty: by position
	Source string
	JSON   []byte // what a form or a program would give for it; nil: nothing is known to make such a value
}

// Spelled reads the arguments of a call as Python's repr spells them, 'x',
// day=datetime.date(2026, 1, 31), and says what JSON stands for each: that from
// which a conversion by the annotation makes it, if the annotation fits. It
// reports false where the text cannot be read, or an argument has more than
// longest characters, as one that was cut.
func (p *Plan) Spelled(source string, longest int) ([]Spelled, bool) {
	if !utf8.ValidString(source) {
		return nil, false
	}
	q := parser{rest: strings.TrimSpace(source)}
	var list []Spelled
	for q.rest != "" {
		a := Spelled{Name: q.keyword()}
		if a.Name == "" && len(list) > 0 && list[len(list)-1].Name != "" {
			return nil, false
		}
		before := q.rest
		e, err := q.union()
		a.Source = strings.TrimSpace(before[:len(before)-len(q.rest)])
		if err != nil || utf8.RuneCountInString(a.Source) > longest {
			return nil, false
		}
		if value, ok := p.natural(e); ok {
			a.JSON = []byte(value)
		}
		list = append(list, a)
		if !q.take(",") && q.rest != "" {
			return nil, false
		}
	}
	return list, true
}

// natural is the JSON text that stands for a value.
func (p *Plan) natural(e expression) (string, bool) {
	switch e.kind {
	case kindList, kindTuple, kindSet:
		return p.naturals(e.items)
	case kindDict:
		return p.naturalDict(e.items)
	case kindBytes:
		return naturalBytes(e.text), true
	case kindMember:
		return p.member(e.text)
	case kindCall:
		return p.naturalCall(e)
	default:
	}
	return constant(e)
}

func (p *Plan) naturals(items []expression) (string, bool) {
	parts := make([]string, len(items))
	for i, item := range items {
		part, ok := p.natural(item)
		if !ok {
			return "", false
		}
		parts[i] = part
	}
	return "[" + strings.Join(parts, ",") + "]", true
}

// naturalDict is an object. Keys that are no text stand as the text that is
// converted to them.
func (p *Plan) naturalDict(items []expression) (string, bool) {
	parts, seen := make([]string, 0, len(items)/2), map[string]bool{}
	for i := 0; i+1 < len(items); i += 2 {
		key, ok := p.natural(items[i])
		value, known := p.natural(items[i+1])
		if !ok || !known || key[0] == '[' || key[0] == '{' {
			return "", false
		}
		if key[0] != '"' {
			key = quote(key)
		}
		if seen[key] {
			return "", false
		}
		seen[key] = true
		parts = append(parts, key+":"+value)
	}
	return "{" + strings.Join(parts, ",") + "}", true
}

// DataURL begins a text that stands for bytes which are no text.
const DataURL = "data:;base64,"

func naturalBytes(octets string) string {
	if utf8.ValidString(octets) && !strings.HasPrefix(octets, "data:") && !strings.ContainsFunc(octets, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		return quote(octets)
	}
	return quote(DataURL + base64.StdEncoding.EncodeToString([]byte(octets)))
}

// member is the value of a member of an enumeration of the module: its name
// ends in Class.MEMBER.
func (p *Plan) member(dotted string) (string, bool) {
	parts := strings.Split(dotted, ".")
	if len(parts) < 2 {
		return "", false
	}
	t := p.reader.types[parts[len(parts)-2]]
	for _, m := range enumeration(t).members {
		if m.Name == parts[len(parts)-1] && t.Kind == distro.Enumeration {
			return m.Value, true
		}
	}
	return "", false
}

// naturalCall stands for what a call of a well-known class, or of a class of
// the module, makes.
func (p *Plan) naturalCall(e expression) (string, bool) {
	if e.items[0].kind != kindName {
		return "", false
	}
	given, name := e.items[1:], e.items[0].text
	if t := p.reader.types[name]; t.Kind == distro.Record && t.Class {
		return p.naturalFields(given)
	}
	switch short := known(name); short {
	case "datetime":
		return naturalMoment(given, 3)
	case "time":
		return naturalMoment(given, 0)
	case "date", "timedelta":
		return made(e)
	case "set", "frozenset", "tuple", "deque":
		if len(given) == 0 {
			return "[]", true
		}
	case "Decimal":
		if value, ok := decimal(given); ok {
			return value, true
		}
	}
	if len(given) != 1 {
		return "", false
	}
	return p.naturalOf(known(name), given[0])
}

// naturalOf stands for what a well-known class makes of one argument.
func (p *Plan) naturalOf(short string, given expression) (string, bool) {
	switch short {
	case "set", "frozenset", "tuple", "deque":
		if slices.Contains([]kind{kindList, kindSet, kindTuple}, given.kind) {
			return p.natural(given)
		}
	case "bytearray":
		return naturalBytes(given.text), given.kind == kindBytes
	case "UUID", "Path", "PurePath", "PosixPath", "PurePosixPath", "Decimal":
		return quote(given.text), given.kind == kindText
	}
	return "", false
}

func (p *Plan) naturalFields(given []expression) (string, bool) {
	parts := make([]string, 0, len(given))
	for _, e := range given {
		if e.kind != kindKeyword {
			return "", false
		}
		value, ok := p.natural(e.items[0])
		if !ok {
			return "", false
		}
		parts = append(parts, quote(e.text)+":"+value)
	}
	return "{" + strings.Join(parts, ",") + "}", true
}

// naturalMoment is the ISO text of a datetime, or without the three numbers of
// a date that of a time.
func naturalMoment(given []expression, date int) (string, bool) {
	zone := ""
	if last := len(given) - 1; last >= 0 && given[last].kind == kindKeyword {
		var ok bool
		if zone, ok = offset(given[last]); !ok {
			return "", false
		}
		given = given[:last]
	}
	n := make([]int, 0, 7)
	for _, e := range given {
		text, ok := constant(e)
		var number int
		if _, err := fmt.Sscanf(text, "%d", &number); !ok || err != nil || number < 0 || number > 999_999 {
			return "", false
		}
		n = append(n, number)
	}
	if len(n) < date+2 || len(n) > date+4 {
		return "", false
	}
	n = append(n, 0, 0)
	text := fmt.Sprintf("%02d:%02d:%02d", n[date], n[date+1], n[date+2])
	if n[date+3] > 0 {
		text += fmt.Sprintf(".%06d", n[date+3])
	}
	if date > 0 {
		text = fmt.Sprintf("%04d-%02d-%02dT", n[0], n[1], n[2]) + text
	}
	return quote(text + zone), true
}

// offset is what tzinfo= says, as ISO writes it.
func offset(e expression) (string, bool) {
	zone := e.items[0]
	switch {
	case e.text != "tzinfo":
		return "", false
	case zone.kind == kindName && zone.text == "datetime.timezone.utc":
		return "+00:00", true
	case zone.kind != kindCall || len(zone.items) != 2 || zone.items[0].text != "datetime.timezone" || zone.items[1].kind != kindCall:
		return "", false
	}
	seconds, ok := spanned(zone.items[1].items[1:])
	span, err := time.ParseDuration(seconds + "s")
	if !ok || err != nil || span%time.Minute != 0 || span.Abs() >= 24*time.Hour {
		return "", false
	}
	sign := '+'
	if span < 0 {
		sign = '-'
	}
	span = span.Abs()
	return fmt.Sprintf("%c%02d:%02d", sign, int(span.Hours()), int(span.Minutes())%60), true
}
