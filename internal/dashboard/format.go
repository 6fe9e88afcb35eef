package dashboard

import (
	"fmt"
	"strings"
	"time"
)

// moment is a time as a page shows it. The zero moment is one that is not known
// or has not come.
type moment struct {
	ISO   string // with its offset
	Clock string // as it is written in the reader's language and zone
	Ago   string // how far it is from now
}

// Known reports whether there is such a time.
func (m moment) Known() bool { return m.ISO != "" }

func (r *reader) moment(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.In(r.zone)
	return moment{ISO: t.Format(time.RFC3339), Clock: r.clock(t), Ago: r.ago(t)}
}

// clock writes a time as short as it is plain: without the day where it is
// today's.
func (r *reader) clock(t time.Time) string {
	now := r.now.In(r.zone)
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		return t.Format("15:04:05")
	case r.base() == "pt" && t.Year() == now.Year():
		return t.Format("02/01 15:04")
	case r.base() == "pt":
		return t.Format("02/01/2006 15:04")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// full writes a time with its day and its zone.
func (r *reader) full(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	t = t.In(r.zone)
	layout := "2 Jan 2006 15:04:05 MST"
	if r.base() == "pt" {
		layout = "02/01/2006 15:04:05 MST"
	}
	return t.Format(layout)
}

// ago writes how long ago a time is, or how long it is till then.
func (r *reader) ago(t time.Time) string {
	d := r.now.Sub(t)
	key := "time.ago"
	if d < 0 {
		d, key = -d, "time.in"
	}
	if d < time.Second {
		return r.T("time.now")
	}
	return r.T(key, r.rough(d))
}

// rough writes a time in its greatest unit.
func (r *reader) rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return r.T("unit.s", int(d.Seconds()))
	case d < time.Hour:
		return r.T("unit.min", int(d.Minutes()))
	case d < 48*time.Hour:
		return r.T("unit.h", int(d.Hours()))
	}
	return r.T("unit.d", r.number(int(d.Hours()/24)))
}

// lasted writes how long something took, in two units at most. Zero is what is
// not known.
func (r *reader) lasted(d time.Duration) string {
	switch {
	case d <= 0:
		return "—"
	case d < time.Second:
		return r.T("unit.ms", max(d.Milliseconds(), 1))
	case d < 10*time.Second:
		return r.T("unit.s", r.fraction(d.Seconds(), 1))
	case d < time.Minute:
		return r.T("unit.s", int(d.Seconds()))
	case d < time.Hour:
		return r.T("unit.min", int(d.Minutes())) + " " + r.T("unit.s", fmt.Sprintf("%02d", int(d.Seconds())%60))
	case d < 48*time.Hour:
		return r.T("unit.h", int(d.Hours())) + " " + r.T("unit.min", fmt.Sprintf("%02d", int(d.Minutes())%60))
	}
	return r.T("unit.d", r.number(int(d.Hours()/24))) + " " + r.T("unit.h", int(d.Hours())%24)
}

// bytes writes a size in powers of ten, as operating systems show them.
func (r *reader) bytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, at := float64(n), 0
	for v >= 1000 && at < len(units)-1 {
		v, at = v/1000, at+1
	}
	places := 0
	if at > 0 && v < 100 {
		places = 1
	}
	return r.fraction(v, places) + " " + units[at]
}

// percent writes a part of a whole.
func (r *reader) percent(part, whole int) string {
	if whole == 0 {
		return "—"
	}
	v := 100 * float64(part) / float64(whole)
	places := 0
	if v > 0 && v < 10 || v > 99 && v < 100 {
		places = 1
	}
	return r.fraction(v, places) + " %"
}

// cut shortens a text for one line.
func cut(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
