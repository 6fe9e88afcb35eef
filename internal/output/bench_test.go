package output_test

import (
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

// BenchmarkRead reads 100 lines of 1,000,000 lines in 200 MB: from anywhere,
// and the last ones.
func BenchmarkRead(b *testing.B) {
	const lines = 1_000_000
	dir := b.TempDir()
	w := writer(b, open(b, dir, output.Options{MaxPerJob: 1 << 30}), 1)
	chunk := []byte(strings.Repeat(strings.Repeat("x", 180)+"\n", 1000))
	for range lines / 1000 {
		_ = w.Write(output.Stdout, at, chunk)
	}
	w.Close()
	s := open(b, dir, output.Options{})
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
