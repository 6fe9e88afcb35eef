package form

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// problem is what is wrong with what was entered: a text, and what stands in it.
type problem struct {
	key  string
	args []any
	line int    // of a list; 0: none
	said string // by the service, in English, in place of a text
}

func wrong(key string, args ...any) *problem { return &problem{key: "form.problem." + key, args: args} }

// Bounds of what is read as a number.
const maxDigits = 1000

var (
	integerPattern = regexp.MustCompile(`^[+-]?[0-9]{1,1000}$`)
	numberPattern  = regexp.MustCompile(`^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?$`)
	spanPart       = regexp.MustCompile(`^([0-9]{1,12}(?:[.,][0-9]{1,9})?)\s*([a-zµ]*)\s*`)
	uuidPattern    = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$`)
	colonSpan      = regexp.MustCompile(`^([0-9]{1,6}):([0-5][0-9])(?::([0-5][0-9]))?$`)
)

// encode is text as JSON.
func encode(text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // strings always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// scalar reads what was entered for one value. Of text nothing is changed but
// the ends of its lines, which browsers write in their own way.
func (a *Answers) scalar(f *field, entered string) ([]byte, *problem) {
	if !utf8.ValidString(entered) {
		return nil, wrong("text")
	}
	text := strings.TrimSpace(entered)
	switch f.control {
	case controlInteger, controlNumber:
		return a.number(f, text)
	case controlSwitch:
		return truth(text)
	case controlDate:
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return nil, wrong("date")
		}
		return encode(text), nil
	case controlTime:
		return clockTime(text)
	case controlMoment:
		return a.moment(text)
	case controlSpan:
		seconds, ok := parseSpan(text)
		if !ok {
			return nil, wrong("span")
		}
		return bounded(f, seconds)
	case controlChoice:
		for _, c := range f.options {
			if c.key == text || c.key == entered {
				return c.value, nil
			}
		}
		return nil, wrong("choice")
	case controlAny:
		return a.form.anything(entered)
	}
	return plainText(f, entered)
}

func plainText(f *field, entered string) ([]byte, *problem) {
	text := strings.ReplaceAll(entered, "\r\n", "\n")
	if f.format == "uuid" && !uuidPattern.MatchString(text) {
		return nil, wrong("uuid")
	}
	n := utf8.RuneCountInString(text)
	if least, ok := f.whole("minLength"); ok && n < least {
		return nil, wrong("short", least)
	}
	if most, ok := f.whole("maxLength"); ok && n > most {
		return nil, wrong("long", most)
	}
	return encode(text), nil
}

// whole is a bound that counts.
func (f *field) whole(name string) (int, bool) {
	n, err := strconv.Atoi(f.bounds[name].String())
	return n, err == nil
}

// anything reads JSON, and takes everything else for text.
func (fm *Form) anything(entered string) ([]byte, *problem) {
	text := strings.ReplaceAll(entered, "\r\n", "\n")
	if trimmed := strings.TrimSpace(text); trimmed != "" && jsonscan.Check([]byte(trimmed), fm.opts.Depth) == nil {
		return []byte(trimmed), nil
	}
	return encode(text), nil
}

func truth(text string) ([]byte, *problem) {
	switch strings.ToLower(text) {
	case "true", "on", "1", "sim", "yes":
		return []byte("true"), nil
	case "false", "off", "0", "não", "nao", "no", "":
		return []byte("false"), nil
	}
	return nil, wrong("choice")
}

// number reads a number as people of the reader's language write it, and writes
// it as JSON does, digit by digit.
func (a *Answers) number(f *field, text string) ([]byte, *problem) {
	if len(text) > maxDigits {
		return nil, wrong("digits", maxDigits)
	}
	text = strings.ReplaceAll(text, "−", "-")
	if a.reader.Decimal == "," && strings.Count(text, ",") == 1 && !strings.Contains(text, ".") {
		text = strings.Replace(text, ",", ".", 1)
	}
	switch {
	case f.control == controlInteger && !integerPattern.MatchString(text):
		return nil, wrong("integer")
	case !numberPattern.MatchString(text):
		return nil, wrong("number")
	}
	value := jsonNumber(text)
	if v, err := strconv.ParseFloat(value, 64); strings.ContainsAny(value, "eE") && (err != nil || math.IsInf(v, 0)) {
		return nil, wrong("number")
	}
	return bounded(f, value)
}

// jsonNumber spells a number as JSON does: 007, +1, .5 and 1. are none there.
func jsonNumber(text string) string {
	sign := ""
	if text[0] == '-' {
		sign = "-"
	}
	text = strings.TrimLeft(text, "+-")
	whole, rest := text, ""
	if i := strings.IndexAny(text, ".eE"); i >= 0 {
		whole, rest = text[:i], text[i:]
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if strings.HasPrefix(rest, ".") && (len(rest) == 1 || rest[1] < '0' || rest[1] > '9') {
		rest = ".0" + rest[1:]
	}
	return sign + whole + rest
}

// bounded holds a number against its bounds.
func bounded(f *field, value string) ([]byte, *problem) {
	if len(f.bounds) == 0 {
		return []byte(value), nil
	}
	v, ok := rational(value)
	for _, bound := range []struct {
		name    string
		refused func(cmp int) bool
		key     string
	}{
		{"minimum", func(cmp int) bool { return cmp < 0 }, "least"},
		{"exclusiveMinimum", func(cmp int) bool { return cmp <= 0 }, "above"},
		{"maximum", func(cmp int) bool { return cmp > 0 }, "most"},
		{"exclusiveMaximum", func(cmp int) bool { return cmp >= 0 }, "below"},
	} {
		n, set := f.bounds[bound.name]
		if !set {
			continue
		}
		if limit, read := rational(n.String()); read && ok && bound.refused(v.Cmp(limit)) {
			return nil, wrong(bound.key, n.String())
		}
	}
	return []byte(value), nil
}

// rational is the exact worth of a number whose exponent is bounded.
func rational(text string) (*big.Rat, bool) {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if n, err := strconv.Atoi(text[i+1:]); err != nil || n > 400 || n < -400 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(text)
}

func clockTime(text string) ([]byte, *problem) {
	for _, layout := range []string{"15:04", "15:04:05", "15:04:05.999999"} {
		if at, err := time.Parse(layout, text); err == nil {
			if layout == "15:04" {
				layout = "15:04:05"
			}
			return encode(at.Format(layout)), nil
		}
	}
	return nil, wrong("time")
}

// The ways in which browsers write a moment.
const (
	localMinute = "2006-01-02T15:04"
	localSecond = "2006-01-02T15:04:05.999999"
	zonedSecond = "2006-01-02T15:04:05.999999-07:00"
)

// moment reads a moment of the reader's zone, and writes it with its offset.
func (a *Answers) moment(text string) ([]byte, *problem) {
	at, ok := a.when(text)
	if !ok {
		return nil, wrong("moment")
	}
	return encode(at.Format(zonedSecond)), nil
}

func (a *Answers) when(text string) (time.Time, bool) {
	text = strings.Replace(text, " ", "T", 1)
	for _, layout := range []string{localMinute, localSecond} {
		if at, err := time.ParseInLocation(layout, text, a.reader.Zone); err == nil {
			return at, true
		}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at.In(a.reader.Zone), err == nil
}

// parseSpan reads how long something takes, 1h30, 45min, 90, and returns the
// seconds. A number behind a unit counts the next smaller one.
func parseSpan(text string) (seconds string, ok bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	sign := int64(1)
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, text = -1, rest
	}
	if m := colonSpan.FindStringSubmatch(text); m != nil {
		text = m[1] + "h" + m[2] + "m" + m[3]
		if m[3] != "" {
			text += "s"
		}
	}
	total, next, last := new(big.Rat), int64(1), int64(math.MaxInt64)
	for rest := text; rest != ""; {
		m := spanPart.FindStringSubmatch(rest)
		if m == nil {
			return "", false
		}
		rest = rest[len(m[0]):]
		unit := spanUnit(m[2])
		if m[2] == "" {
			unit = next
		}
		n, read := new(big.Rat).SetString(strings.Replace(m[1], ",", ".", 1))
		if !read || unit == 0 || unit >= last {
			return "", false
		}
		total.Add(total, n.Mul(n, new(big.Rat).SetInt64(unit)))
		last, next = unit, smaller(unit)
	}
	if text == "" {
		return "", false
	}
	total.Mul(total, new(big.Rat).SetInt64(sign))
	if total.IsInt() {
		return total.Num().String(), true
	}
	return strings.TrimRight(total.FloatString(9), "0"), true
}

func spanUnit(word string) int64 {
	switch word {
	case "s", "seg", "segs", "sec", "secs", "segundo", "segundos", "second", "seconds":
		return 1
	case "m", "min", "mins", "minuto", "minutos", "minute", "minutes":
		return 60
	case "h", "hora", "horas", "hour", "hours":
		return 3600
	case "d", "dia", "dias", "day", "days":
		return 86400
	case "w", "semana", "semanas", "week", "weeks", "sem":
		return 7 * 86400
	}
	return 0
}

func smaller(unit int64) int64 {
	switch unit {
	case 7 * 86400:
		return 86400
	case 86400:
		return 3600
	case 3600:
		return 60
	}
	return 1
}

// formatSpan writes seconds as parseSpan reads them.
func formatSpan(seconds string) string {
	sign := ""
	if rest, negative := strings.CutPrefix(seconds, "-"); negative {
		sign, seconds = "-", rest
	}
	whole, fraction, _ := strings.Cut(seconds, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return sign + seconds
	}
	var b strings.Builder
	for _, unit := range []struct {
		name   string
		length int64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}} {
		if n >= unit.length {
			b.WriteString(strconv.FormatInt(n/unit.length, 10) + unit.name)
			n %= unit.length
		}
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		fraction = "." + fraction
	}
	if n > 0 || fraction != "" || b.Len() == 0 {
		b.WriteString(strconv.FormatInt(n, 10) + fraction + "s")
	}
	return sign + b.String()
}
