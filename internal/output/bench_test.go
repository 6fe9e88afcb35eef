package output_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/output"
)

// BenchmarkWrite writes 1 GB in chunks as a pipe gives them.
func BenchmarkWrite(b *testing.B) {
	chunk := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 656))[:64<<10]
	const size = 1 << 30
	b.SetBytes(size)
	for b.Loop() {
		s := open(b, b.TempDir(), output.Options{})
		w := writer(b, s, 1)
		for range size / len(chunk) {
			if err := w.Write(output.Stdout, at, chunk); err != nil {
				b.Fatal(err)
			}
		}
		w.Close()
		if err := s.Delete(id); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteLine writes one line at a time, as a print with flush does.
func BenchmarkWriteLine(b *testing.B) {
	w := writer(b, open(b, b.TempDir(), output.Options{}), 1)
	defer w.Close()
	line := []byte(strings.Repeat("x", 99) + "\n")
	for b.Loop() {
		_ = w.Write(output.Stdout, at, line)
	}
}

// large is a job with 1,000,000 lines in 200 MB of files. One line holds a
// needle.
func large(b *testing.B, needle int) *output.Store {
	b.Helper()
	const lines, step = 1_000_000, 1000
	dir := b.TempDir()
	w := writer(b, open(b, dir, output.Options{MaxPerJob: 1 << 30}), 1)
	for first := 0; first < lines; first += step {
		var chunk strings.Builder
		for n := first; n < first+step; n++ {
			text := fmt.Sprintf("2026-01-02 03:04:05,678 INFO importer.rows: row %07d of customers.csv was read and checked; ", n)
			if n == needle {
				text += "a NEEDLE was found; "
			}
			chunk.WriteString(text + strings.Repeat("Größe=12.5 total=99;", 5)[:180-min(180, len(text))] + "\n")
		}
		_ = w.Write(output.Stdout, at, []byte(chunk.String()))
	}
	w.Close()
	return open(b, dir, output.Options{})
}

// BenchmarkRead reads 100 lines of 1,000,000 lines in 200 MB: from anywhere,
// and the last ones.
func BenchmarkRead(b *testing.B) {
	const lines = 1_000_000
	s := large(b, 0)
	for name, next := range map[string]func(int64) int64{
		"anywhere": func(i int64) int64 { return 1 + i*7919%lines },
		"tail":     func(int64) int64 { return -100 },
	} {
		b.Run(name, func(b *testing.B) {
			for i := int64(0); b.Loop(); i++ {
				if page := read(b, s, next(i), 100); len(page.Lines) == 0 {
					b.Fatal("no lines")
				}
			}
		})
	}
}

// BenchmarkSearch searches 1,000,000 lines in 200 MB: for a text near the end,
// for one that stands in every line, for one that is missing, and by level.
func BenchmarkSearch(b *testing.B) {
	s := large(b, 999_990)
	for name, tt := range map[string]struct {
		query output.Query
		want  int
	}{
		"one":     {output.Query{Text: "needle was"}, 1},
		"every":   {output.Query{Text: "customers"}, output.MaxMatches},
		"none":    {output.Query{Text: "größe=13"}, 0},
		"level":   {output.Query{Level: output.LevelError}, 0},
		"letters": {output.Query{Text: "e"}, output.MaxMatches},
	} {
		b.Run(name, func(b *testing.B) {
			tt.query.Count = 100
			for b.Loop() {
				found, err := s.Search(b.Context(), id, tt.query)
				if err != nil || found.Found != tt.want {
					b.Fatalf("found %d, want %d: %v", found.Found, tt.want, err)
				}
			}
		})
	}
}
