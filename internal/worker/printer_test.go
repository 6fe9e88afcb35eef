package worker_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/worker"
)

func TestTheConsolePassesOutputOnAsItComes(t *testing.T) {
	t.Parallel()
	var out, err bytes.Buffer
	p := worker.Console(&out, &err, 1)("job", 1)
	for _, chunk := range []string{"50 %", "\r100 %", "\nno end"} {
		if err := p.Write(output.Stdout, time.Now(), []byte(chunk)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(out.String(), chunk) {
			t.Errorf("%q was held back: %q", chunk, out.String())
		}
	}
	if err := p.Note("attempt 2"); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if got := out.String() + "|" + err.String(); got != "50 %\r100 %\nno end|job: attempt 2\n" {
		t.Errorf("got %q", got)
	}
}

func TestTheConsoleOfSeveralSlotsKeepsLinesWhole(t *testing.T) {
	t.Parallel()
	var out, err bytes.Buffer
	printer := worker.Console(&out, &err, 2)
	a, b := printer("a", 1), printer("b", 1)
	write := func(p worker.Printer, s output.Stream, text string) {
		if err := p.Write(s, time.Now(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write(a, output.Stdout, "one\ntw")
	write(b, output.Stdout, "three\nfo")
	write(a, output.Stderr, "oops")
	write(a, output.Stdout, "o\n")
	a.Close()
	b.Close()
	if got := out.String(); got != "one\nthree\ntwo\nfo\n" {
		t.Errorf("stdout %q", got)
	}
	if got := err.String(); got != "oops\n" {
		t.Errorf("stderr %q", got)
	}
	out.Reset()
	long := strings.Repeat("x", 100_000)
	c := printer("c", 1)
	write(c, output.Stdout, long)
	if out.String() != long {
		t.Errorf("%d bytes of a line without end passed on", out.Len())
	}
	c.Close()
}

func TestBothTakersHaveAllOutput(t *testing.T) {
	t.Parallel()
	var one, other bytes.Buffer
	store, err := output.Open(t.TempDir(), output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := worker.Both(worker.Console(&one, &other, 1), worker.Stored(store))("job", 1)
	if err := p.Write(output.Stdout, time.Now(), []byte("one\n")); err != nil {
		t.Fatal(err)
	}
	if err := p.Note("note"); err != nil {
		t.Fatal(err)
	}
	p.Close()
	var text strings.Builder
	if err := store.WriteText(t.Context(), "job", &text); err != nil {
		t.Fatal(err)
	}
	if got := one.String() + other.String() + text.String(); got != "one\njob: note\none\ndistro: note\n" {
		t.Errorf("got %q", got)
	}
	if err := p.Write(output.Stdout, time.Now(), []byte("late\n")); err == nil || !strings.HasSuffix(one.String(), "late\n") {
		t.Errorf("the second fails with %v, the first has %q", err, one.String())
	}
}
