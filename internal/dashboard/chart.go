package dashboard

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/store"
)

// chart is a table of numbers over time. Scripts draw it; without them the table
// is what there is.
type chart struct {
	Kind    string // bars, lines or dots
	Unit    string // s or count
	Caption string
	Series  []series
	Words   string // heading of a column of words; empty: there is none
	Points  []point
	Shape   template.HTML // a small drawing of the first series, for lists; may be empty
}

type series struct{ Code, Name string }

// point is a line of the table: a time and a cell for each series.
type point struct {
	At    moment
	Cells []cell
	Word  string
}

// cell is a number as scripts read it and as people do; without a value where
// there is none.
type cell struct{ Value, Text string }

func (r *reader) count(n int) cell { return cell{fmt.Sprint(n), r.number(n)} }

func (r *reader) seconds(d time.Duration) cell {
	if d <= 0 {
		return cell{"", "—"}
	}
	return cell{fmt.Sprintf("%.3f", d.Seconds()), r.lasted(d)}
}

// stepped calls add for every step from from to to, with what ended in it.
func stepped(lines []store.Line, from, to time.Time, step time.Duration, add func(at time.Time, p store.Point)) {
	found := map[int64]store.Point{}
	for _, line := range lines {
		for _, p := range line.Points {
			found[p.At.UnixNano()/int64(step)] = p
		}
	}
	for at := from.Truncate(step); at.Before(to); at = at.Add(step) {
		add(at, found[at.UnixNano()/int64(step)])
	}
}

// throughput counts what finished and what failed.
func (r *reader) throughput(lines []store.Line, from, to time.Time, step time.Duration) *chart {
	c := &chart{
		Kind: "bars", Unit: "count", Caption: r.T("chart.throughput", r.rough(step)),
		Series: []series{{"finished", r.T("state.finished")}, {"failed", r.T("state.failed")}},
	}
	stepped(lines, from, to, step, func(at time.Time, p store.Point) {
		c.Points = append(c.Points, point{At: r.moment(at), Cells: []cell{
			r.count(p.Ended[distro.ExecutionFinished]),
			r.count(p.Ended[distro.ExecutionFailed] + p.Ended[distro.ExecutionLost]),
		}})
	})
	return c
}

// durations shows how long what ended had waited, or had taken.
func (r *reader) durations(caption string, lines []store.Line, from, to time.Time, step time.Duration, of func(store.Point) store.Quantiles) *chart {
	c := &chart{
		Kind: "lines", Unit: "s", Caption: caption,
		Series: []series{{"p50", r.T("chart.p50")}, {"p95", r.T("chart.p95")}},
	}
	stepped(lines, from, to, step, func(at time.Time, p store.Point) {
		q := of(p)
		c.Points = append(c.Points, point{At: r.moment(at), Cells: []cell{r.seconds(q.P50), r.seconds(q.P95)}})
	})
	return c
}

// strip is the ends of the newest executions, the oldest first, as small bars.
type strip []stripBar

type stripBar struct {
	Tone  string
	Title string
}

// bars draws the newest executions of a function.
func (r *reader) bars(newest []store.Entry) strip {
	list := make(strip, 0, len(newest))
	for i := len(newest) - 1; i >= 0; i-- {
		x := &newest[i].Execution
		state := viewState(string(x.State))
		list = append(list, stripBar{state.Tone, r.T("state."+state.Code) + " · " + r.clock(firstOf(x.EndedAt, x.StartedAt).In(r.zone))})
	}
	return list
}

// Text says what the strip shows, for who does not see it.
func (s strip) Text() string {
	words := make([]string, len(s))
	for i, b := range s {
		words[i] = b.Title
	}
	return strings.Join(words, ", ")
}
