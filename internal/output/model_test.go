package output_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro/internal/output"
)

// printed is what a job's output should be: the model of the state machine
// below, which does to it what it does to a Store.
type printed struct {
	ended []string        // "o text"
	open  map[byte]string // by stream
	stale map[byte]string // what a dead process left open

	tb      testing.TB
	dir     string
	options output.Options
	store   *output.Store
	w       *output.Writer // nil: none is open
}

func (p *printed) end(stream byte, text string) {
	p.ended = append(p.ended, string(stream)+" "+text)
}

// endAll ends the open lines in the order of the streams.
func (p *printed) endAll(open map[byte]string) {
	for _, stream := range []byte("oed") {
		if open[stream] != "" {
			p.end(stream, open[stream])
		}
	}
	clear(open)
}

func (p *printed) write(r *rapid.T) {
	if p.w == nil {
		p.w = writer(p.tb, p.store, rapid.IntRange(1, 3).Draw(r, "attempt"))
	}
	stream := rapid.SampledFrom([]byte("oe")).Draw(r, "stream")
	text := rapid.StringMatching(`([a-z]{0,40}\n){0,3}[a-z]{0,3}`).Draw(r, "text")
	text = strings.Repeat(text, rapid.SampledFrom([]int{1, 1, 50}).Draw(r, "times"))
	if text == "" {
		return
	}
	p.endAll(p.stale)
	write(p.tb, p.w, output.Stream(stream), text)
	lines := strings.Split(p.open[stream]+text, "\n")
	for _, line := range lines[:len(lines)-1] {
		p.end(stream, line)
	}
	p.open[stream] = lines[len(lines)-1]
}

func (p *printed) note(*rapid.T) {
	if p.w == nil {
		return
	}
	p.endAll(p.stale)
	if err := p.w.Note("note"); err != nil {
		p.tb.Fatal(err)
	}
	p.end('d', "note")
}

func (p *printed) close(*rapid.T) {
	if p.w != nil {
		p.w.Close()
		p.w = nil
		p.endAll(p.open)
	}
}

// die leaves the Store as the death of its process does, and opens it anew.
func (p *printed) die(*rapid.T) {
	for stream, text := range p.open {
		if text != "" {
			p.stale[stream] = text
		}
	}
	clear(p.open)
	p.w = nil
	p.store = open(p.tb, p.dir, p.options)
}

func (p *printed) delete(*rapid.T) {
	if err := p.store.Delete(id); err != nil {
		p.tb.Fatal(err)
	}
	p.ended = nil
	clear(p.stale)
	clear(p.open)
}

// check reads a range and compares it.
func (p *printed) check(r *rapid.T) {
	var waiting []string
	for _, open := range []map[byte]string{p.stale, p.open} {
		for _, stream := range []byte("oed") {
			if open[stream] != "" {
				waiting = append(waiting, string(stream)+" "+open[stream])
			}
		}
	}
	total := int64(len(p.ended) + len(waiting))
	from := rapid.Int64Range(-total-1, total+1).Draw(r, "from")
	count := rapid.IntRange(1, 400).Draw(r, "count")
	page := read(p.tb, p.store, from, count)
	if page.Total != total {
		r.Fatalf("total is %d, want %d", page.Total, total)
	}
	if from < 0 {
		from += total + 1
	}
	all := slices.Concat(p.ended, waiting)
	number := max(from, 1) - 1
	for _, l := range page.Lines {
		cut := l.Stream == output.Distro && strings.HasPrefix(l.Text, "…")
		if cut && p.options.MaxPerJob > 0 && l.Number > number && l.Number <= int64(len(p.ended)) {
			number = l.Number
			continue
		}
		number++
		if l.Number != number || all[number-1] != string(byte(l.Stream))+" "+l.Text {
			r.Fatalf("line %d is %d %q, want %q", number, l.Number, l.Text, all[number-1])
		}
		if l.Open != (number > int64(len(p.ended))) {
			r.Fatalf("line %d of %d: open is %t", number, len(p.ended), l.Open)
		}
	}
	if number < total && len(page.Lines) < count {
		r.Fatalf("%d lines from %d on, of %d; want %d", len(page.Lines), from, total, count)
	}
}

// TestWhateverHappensTheLinesAreThoseWritten writes, closes, dies, deletes and
// reads in any order, with and without a cut middle.
func TestWhateverHappensTheLinesAreThoseWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		p := &printed{
			open: map[byte]string{}, stale: map[byte]string{}, tb: t, dir: t.TempDir(),
			options: output.Options{MaxPerJob: rapid.SampledFrom([]int64{0, 16 << 10}).Draw(r, "cap")},
		}
		p.store = open(t, p.dir, p.options)
		r.Repeat(map[string]func(*rapid.T){
			"write": p.write, "write more": p.write, "note": p.note, "close": p.close,
			"die": p.die, "delete": p.delete, "": p.check,
		})
		p.close(r)
		p.check(r)
	})
}
