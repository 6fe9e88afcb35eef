package output_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/distro-orchestrator/distro/internal/output"
)

// follow reads as a live reader does until it has seen the line "end", and
// returns the lines that ended.
func follow(ctx context.Context, s *output.Store) ([]output.Line, error) {
	var lines []output.Line
	for next := int64(1); ; {
		page, err := s.Read(ctx, id, next, 7)
		if err != nil {
			return lines, err
		}
		for _, l := range page.Lines {
			if l.Open {
				continue
			}
			lines = append(lines, l)
			if l.Text == "end" {
				return lines, nil
			}
		}
		if page.Next == next {
			if err := s.Wait(ctx, id, page.Version); err != nil {
				return lines, err
			}
		}
		next = page.Next
	}
}

func TestFollowersSeeEveryLineOnceInOrder(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{0, 16 << 10} { // without and with a cut middle
		t.Run(fmt.Sprintf("cap %d", limit), func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir(), output.Options{MaxPerJob: limit})
			type seen struct {
				lines []output.Line
				err   error
			}
			results := make(chan seen)
			for range 3 {
				go func() {
					lines, err := follow(t.Context(), s)
					results <- seen{lines, err}
				}()
			}
			const lines = 3000
			for attempt := range 3 {
				w := writer(t, s, attempt+1)
				for i := range lines / 3 {
					write(t, w, output.Stdout, fmt.Sprintf("%d", attempt*lines/3+i+1))
					write(t, w, output.Stdout, "\n")
				}
				w.Close()
			}
			w := writer(t, s, 4)
			write(t, w, output.Stderr, "end\n")
			w.Close()
			for range 3 {
				got := <-results
				if got.err != nil {
					t.Fatal(got.err)
				}
				checkFollowed(t, got.lines, lines, limit > 0)
			}
		})
	}
}

func checkFollowed(t *testing.T, got []output.Line, lines int, cut bool) {
	t.Helper()
	before := int64(0)
	for _, l := range got[:len(got)-1] {
		switch {
		case l.Stream == output.Distro && cut && l.Number > before:
		case l.Number != before+1 || l.Text != fmt.Sprint(l.Number):
			t.Fatalf("line %d %q behind line %d", l.Number, l.Text, before)
		}
		before = l.Number
	}
	if before != int64(lines) {
		t.Errorf("the last line before the end is %d, want %d", before, lines)
	}
}

func TestWaitSeesEveryKindOfChange(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	for name, change := range map[string]func(){
		"a line":           func() { write(t, w, output.Stdout, "x\n") },
		"an open line":     func() { write(t, w, output.Stdout, "x") },
		"its continuation": func() { write(t, w, output.Stdout, "y") },
		"a note":           func() { _ = w.Note("x") },
		"a deletion":       func() { _ = s.Delete(id) },
		"a close":          func() { w.Close(); w = writer(t, s, 2) },
	} {
		page := read(t, s, 1, 0)
		waited := make(chan error)
		go func() { waited <- s.Wait(t.Context(), id, page.Version) }()
		change()
		if err := <-waited; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Wait(t.Context(), id, page.Version); err != nil { // nobody waited while it happened
			t.Errorf("%s, seen later: %v", name, err)
		}
	}
	w.Close()
	if err := s.Wait(t.Context(), id, 0); err != nil {
		t.Errorf("wait of a reader that saw nothing: %v", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() { waited <- s.Wait(ctx, id, read(t, s, 1, 0).Version) }()
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("wait returned %v, want context.Canceled", err)
	}
	if _, err := s.Read(ctx, id, 1, 0); err != nil {
		t.Errorf("an empty page: %v", err)
	}
	w := writer(t, s, 1)
	defer w.Close()
	write(t, w, output.Stdout, "x\n")
	if _, err := s.Read(ctx, id, 1, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("read returned %v, want context.Canceled", err)
	}
}
