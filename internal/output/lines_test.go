package output_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro/internal/output"
)

// model splits what a stream got as the package promises: at line ends, and
// where a line is longer than MaxLine at the last begin of a character.
func model(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for len(line) > output.MaxLine {
			n := output.MaxLine
			for i := n; i > n-utf8.UTFMax; i-- {
				if utf8.RuneStart(line[i]) {
					n = i
					break
				}
			}
			lines = append(lines, line[:n])
			line = line[n:]
		}
		lines = append(lines, line)
	}
	for i, line := range lines {
		lines[i] = strings.ToValidUTF8(line, "\uFFFD")
	}
	return lines
}

func byStream(lines []output.Line) map[output.Stream][]string {
	found := map[output.Stream][]string{}
	for _, l := range lines {
		found[l.Stream] = append(found[l.Stream], l.Text)
	}
	return found
}

// texts draws output of jobs: short lines, no lines, bytes that are no text,
// and lines around the bound.
func texts() *rapid.Generator[string] {
	long := rapid.Custom(func(t *rapid.T) string {
		n := rapid.IntRange(output.MaxLine-3, output.MaxLine+3).Draw(t, "length")
		return strings.Repeat("x", n) + rapid.SampledFrom([]string{"", "é", "日本", "\x80\x80\x80\x80\x80"}).Draw(t, "end")
	})
	part := rapid.OneOf(rapid.StringMatching(`[a-z ]{0,9}\n?`), rapid.Just("\n"),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 9), func(b []byte) string { return string(b) }),
		rapid.Just("naïve\n"), long)
	return rapid.Map(rapid.SliceOfN(part, 0, 12), func(s []string) string { return strings.Join(s, "") })
}

func TestAnyChunkingGivesTheSameLines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := open(t, t.TempDir(), output.Options{})
		w := writer(t, s, 1)
		left := map[output.Stream]string{
			output.Stdout: texts().Draw(r, "stdout"), output.Stderr: texts().Draw(r, "stderr"),
		}
		want := map[output.Stream][]string{}
		for stream, text := range left {
			if lines := model(text); lines != nil {
				want[stream] = lines
			}
		}
		for left[output.Stdout]+left[output.Stderr] != "" {
			stream := rapid.SampledFrom([]output.Stream{output.Stdout, output.Stderr}).Draw(r, "stream")
			n := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 100_000)).Draw(r, "chunk")
			n = min(n, len(left[stream]))
			if err := w.Write(stream, at, []byte(left[stream][:n])); err != nil {
				r.Fatal(err)
			}
			left[stream] = left[stream][n:]
		}
		live := read(t, s, 1, 0)
		w.Close()
		for _, page := range []output.Page{live, read(t, s, 1, 0)} {
			if diff := cmp.Diff(want, byStream(page.Lines)); diff != "" {
				r.Fatalf("lines (-want +got):\n%s", diff)
			}
		}
	})
}

func TestAnyLineOfManyIsFound(t *testing.T) {
	t.Parallel()
	const lines = 200_000
	dir := t.TempDir()
	s := open(t, dir, output.Options{})
	w := writer(t, s, 1)
	var chunk bytes.Buffer
	for i := 1; i <= lines; i++ {
		fmt.Fprintf(&chunk, "line %d%s\n", i, strings.Repeat(".", i%97))
		if i%1000 == 0 {
			write(t, w, output.Stdout, chunk.String())
			chunk.Reset()
		}
	}
	check := func(s *output.Store, from int64) {
		page := read(t, s, from, 3)
		first := from
		if from < 0 {
			first = lines + from + 1
		}
		for i, l := range page.Lines {
			n := first + int64(i)
			if l.Number != n || !strings.HasPrefix(l.Text+".", fmt.Sprintf("line %d.", n)) {
				t.Fatalf("from %d: line %d is %d %q", from, n, l.Number, l.Text)
			}
		}
		if want := min(3, lines-first+1); int64(len(page.Lines)) != want || page.Next != first+want {
			t.Fatalf("from %d: %d lines, next %d; want %d lines", from, len(page.Lines), page.Next, want)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		check(s, 1+random.Int64N(lines))
	}
	w.Close()
	s = open(t, dir, output.Options{})
	for range 200 {
		check(s, -1-random.Int64N(lines))
	}
	if page := read(t, s, lines+10, 3); len(page.Lines) != 0 || page.Next != lines+10 || page.Total != lines {
		t.Errorf("behind the end: %+v", page)
	}
}

func TestAPageIsBoundedInLinesAndBytes(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	defer w.Close()
	write(t, w, output.Stdout, strings.Repeat("\n", output.MaxPageLines+1))
	write(t, w, output.Stdout, strings.Repeat("x", 2*output.MaxPageBytes))
	if n := len(read(t, s, 1, 1_000_000).Lines); n != output.MaxPageLines {
		t.Errorf("%d lines on a page, want %d", n, output.MaxPageLines)
	}
	page, size := read(t, s, output.MaxPageLines+1, 0), 0
	for _, l := range page.Lines {
		size += len(l.Text)
	}
	if size > output.MaxPageBytes+output.MaxLine || size < output.MaxPageBytes {
		t.Errorf("%d bytes on a page, want about %d", size, output.MaxPageBytes)
	}
}

func TestTheDownloadIsWhatTheJobPrinted(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	long := strings.Repeat("é", output.MaxLine)
	write(t, w, output.Stdout, "a\xff\r\n"+long+"\n")
	if err := w.Note("attempt 1 ended"); err != nil {
		t.Fatal(err)
	}
	write(t, w, output.Stdout, strings.Repeat("x", output.MaxLine+1))
	write(t, w, output.Stderr, "b\n")
	var text strings.Builder
	if err := s.WriteText(t.Context(), id, &text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	want := "a\uFFFD\r\n" + long + "\ndistro: attempt 1 ended\n" +
		strings.Repeat("x", output.MaxLine) + "\nb\nx\n"
	if text.String() != want {
		t.Errorf("%d bytes of text, want %d", text.Len(), len(want))
	}
	if err := s.WriteText(t.Context(), id, brokenPipe{}); err == nil {
		t.Error("a writer's error was lost")
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestLinesOfOneStreamNeverMixWhenManyWrite(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	done := make(chan struct{})
	for _, stream := range []output.Stream{output.Stdout, output.Stderr} {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 500 {
				_ = w.Write(stream, at, []byte(stream.String()))
				_ = w.Write(stream, at, fmt.Appendf(nil, " %d\n", i))
			}
		}()
	}
	<-done
	<-done
	w.Close()
	got := byStream(read(t, s, 1, 0).Lines)
	for stream, lines := range got {
		if len(lines) != 500 {
			t.Fatalf("%d lines of %s, want 500", len(lines), stream)
		}
		i := slices.IndexFunc(lines, func(l string) bool { return !strings.HasPrefix(l, stream.String()+" ") })
		if i >= 0 {
			t.Errorf("line %q among those of %s", lines[i], stream)
		}
	}
}
