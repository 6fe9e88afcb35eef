package search

import (
	"strconv"
	"strings"
	"time"
)

// Bounds of times.
const (
	maxDuration = 100 * 365 * 24 * time.Hour
	minYear     = 1000
	maxYear     = 9998 // the year behind is still written with four digits
)

// cutOp takes the comparison off a value.
func cutOp(text string) (op Op, rest string) {
	for _, op := range []Op{AtLeast, AtMost, Above, Below} {
		if rest, ok := strings.CutPrefix(text, string(op)); ok {
			return op, rest
		}
	}
	return "", text
}

// bounds cuts a range a..b; one side may be missing.
func bounds(text string) (from, to string, ok bool) {
	from, to, ok = strings.Cut(text, "..")
	return from, to, ok && from+to != ""
}

// between makes a leaf of one condition, or a conjunction of two. The
// parentheses this may print need a level of nesting.
func (p *parser) between(v value, leaves ...Expr) (Expr, error) {
	for _, leaf := range leaves {
		if _, err := p.count(v.at, leaf); err != nil {
			return nil, err
		}
	}
	return p.nest(v.at, func() (Expr, error) { return joined[And](leaves), nil })
}

// duration reads >5m, 5m, 1m..5m.
func (p *parser) duration(field Field, v value) (Expr, error) {
	if from, to, ok := bounds(v.text); ok {
		return p.durationRange(field, v, from, to)
	}
	op, text := cutOp(v.text)
	s, err := p.span(v, text)
	switch {
	case err != nil:
		return nil, err
	case op != "":
		return p.count(v.at, Duration{field, op, s.length})
	}
	return p.between(v, Duration{field, AtLeast, s.length}, Duration{field, Below, s.length + s.step})
}

func (p *parser) durationRange(field Field, v value, from, to string) (Expr, error) {
	var ends []Expr
	var least, most span
	var err error
	if from != "" {
		if least, err = p.span(v, from); err != nil {
			return nil, err
		}
		ends = append(ends, Duration{field, AtLeast, least.length})
	}
	if to != "" {
		if most, err = p.span(v, to); err != nil {
			return nil, err
		}
		ends = append(ends, Duration{field, AtMost, most.length})
	}
	if len(ends) == 2 && most.length < least.length {
		return nil, p.reversed(v)
	}
	return p.between(v, ends...)
}

// span reads one length of time.
func (p *parser) span(v value, text string) (span, error) {
	s, ok := parseSpan(text)
	if !ok {
		err := p.unknown(v.at, UnknownValue, "duration", text, "")
		err.Message += "; write it like >5m, <1.5s or 1m..2h"
		return s, err
	}
	return s, nil
}

func (p *parser) reversed(v value) error {
	return p.fail(v.at, Syntax, "the range %s ends before it begins", shorten(v.text))
}

// span is a length of time and the least that another one written as exactly
// is longer.
type span struct{ length, step time.Duration }

// parseSpan reads 90, 90s, 1h30m, 1.5h, 7d: a plain number counts seconds.
func parseSpan(text string) (span, bool) {
	text = Fold(text)
	var s span
	if text == "" {
		return s, false
	}
	for text != "" {
		digits := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != ',' })
		if digits < 0 {
			digits = len(text)
		}
		number, rest := strings.ReplaceAll(text[:digits], ",", "."), text[digits:]
		letters := strings.IndexAny(rest, "0123456789.,")
		if letters < 0 {
			letters = len(rest)
		}
		size, ok := unit(rest[:letters])
		if !ok || rest[:letters] == "" && s.step != 0 {
			return s, false
		}
		n, step, ok := multiply(number, size)
		if !ok || n > maxDuration-step-s.length {
			return s, false
		}
		s.length, s.step = s.length+n, step
		text = rest[letters:]
	}
	return s, true
}

// unit is the length of a unit by its folded name.
func unit(name string) (time.Duration, bool) {
	switch name {
	case "ns":
		return time.Nanosecond, true
	case "us", "µs":
		return time.Microsecond, true
	case "ms":
		return time.Millisecond, true
	case "", "s", "seg":
		return time.Second, true
	case "m", "min":
		return time.Minute, true
	case "h":
		return time.Hour, true
	case "d":
		return 24 * time.Hour, true
	case "w", "sem":
		return 7 * 24 * time.Hour, true
	}
	return 0, false
}

// multiply takes a decimal number times a unit, and tells what the last digit
// of the number is worth.
func multiply(number string, unit time.Duration) (product, step time.Duration, ok bool) {
	whole, fraction, point := strings.Cut(number, ".")
	places := 3
	if unit <= time.Second {
		places = 9
	}
	if whole == "" || len(whole) > 9 || len(fraction) > places || point && fraction == "" {
		return 0, 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > int64(maxDuration/unit) {
		return 0, 0, false
	}
	product, step = time.Duration(n)*unit, unit
	if fraction == "" {
		return product, step, true
	}
	f, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	scale := int64(1)
	for range fraction {
		scale *= 10
	}
	return product + time.Duration(f*int64(unit)/scale), max(unit/time.Duration(scale), 1), true
}

// period is a time as it was written: a day, a month, a minute, or a moment,
// which begins and ends at once.
type period struct {
	from, to time.Time
	since    time.Time // without a comparison it means all time since; zero: it means from..to
}

// moment reads today, 2h, 2026-10, >2026-10-01, 2026-10-01..2026-10-31.
func (p *parser) moment(v value) (Expr, error) {
	if from, to, ok := bounds(v.text); ok {
		return p.momentRange(v, from, to)
	}
	op, text := cutOp(v.text)
	t, err := p.period(v, text)
	if err != nil {
		return nil, err
	}
	switch op {
	case Above:
		return p.count(v.at, Moment{AtLeast, t.to.UTC()})
	case AtLeast:
		return p.count(v.at, Moment{AtLeast, t.from.UTC()})
	case Below:
		return p.count(v.at, Moment{Below, t.from.UTC()})
	case AtMost:
		return p.count(v.at, Moment{Below, t.to.UTC()})
	}
	if !t.since.IsZero() {
		return p.count(v.at, Moment{AtLeast, t.since.UTC()})
	}
	return p.between(v, Moment{AtLeast, t.from.UTC()}, Moment{Below, t.to.UTC()})
}

func (p *parser) momentRange(v value, from, to string) (Expr, error) {
	var ends []Expr
	var first, last period
	var err error
	if from != "" {
		if first, err = p.period(v, from); err != nil {
			return nil, err
		}
		ends = append(ends, Moment{AtLeast, first.from.UTC()})
	}
	if to != "" {
		if last, err = p.period(v, to); err != nil {
			return nil, err
		}
		ends = append(ends, Moment{Below, last.to.UTC()})
	}
	if len(ends) == 2 && last.to.Before(first.from) {
		return nil, p.reversed(v)
	}
	return p.between(v, ends...)
}

// period reads one time.
func (p *parser) period(v value, text string) (period, error) {
	t, ok := p.relative(text)
	if !ok {
		t, ok = p.date(text)
	}
	if !ok {
		err := p.unknown(v.at, UnknownValue, "time", text, nearest(text, dayNames()))
		err.Message += "; write it like hoje, 2h, 2026-10, 2026-10-31 or 2026-10-31T08:00"
		return t, err
	}
	for _, at := range []time.Time{t.from, t.to, first(t.since, t.from)} {
		if year := at.UTC().Year(); year < minYear || year > maxYear+1 {
			return t, p.fail(v.at, UnknownValue, "the time %s is out of range", shorten(text))
		}
	}
	return t, nil
}

// relative reads what depends on the present.
func (p *parser) relative(text string) (period, bool) {
	now := p.opts.Now
	day := func(n int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+n, 0, 0, 0, 0, p.opts.Zone)
	}
	name, _ := lookUp(text, dayNames())
	switch name {
	case "today":
		return period{from: day(0), to: day(1)}, true
	case "yesterday":
		return period{from: day(-1), to: day(0)}, true
	case "now":
		return period{from: now, to: now, since: now.Add(-time.Minute)}, true
	}
	s, ok := parseSpan(text)
	if last := len(text) - 1; !ok || '0' <= text[last] && text[last] <= '9' {
		return period{}, false // a plain number is a year
	}
	ago := now.Add(-s.length)
	return period{from: ago, to: ago, since: ago}, true
}

// date reads a year, a month, a day, or a time of a day, in the zone of the
// options unless it tells its own.
func (p *parser) date(text string) (period, bool) {
	text = strings.ToUpper(text)
	for _, form := range []struct {
		layout string
		until  func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{time.DateOnly, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04:05", nil},
		{time.RFC3339, nil},
	} {
		t, err := time.ParseInLocation(form.layout, text, p.opts.Zone)
		if err != nil || t.Year() > maxYear {
			continue
		}
		switch {
		case form.until != nil:
			return period{from: t, to: form.until(t)}, true
		case t.Nanosecond() != 0:
			return period{from: t, to: t.Add(1)}, true
		}
		return period{from: t, to: t.Add(time.Second)}, true
	}
	return period{}, false
}
