package output_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/output"
)

func TestAfterADeathTheOutputIsReadAndGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := writer(t, open(t, dir, output.Options{}), 1) // never closed
	write(t, dead, output.Stdout, "one\ntwo")
	write(t, dead, output.Stderr, "three")
	s := open(t, dir, output.Options{})
	page := read(t, s, 1, 0)
	wantLines(t, page, "1 stdout one", "2 stdout two>", "3 stderr three>")
	if page.Next != 2 || page.Writing {
		t.Errorf("next %d, writing %t; want 2, false", page.Next, page.Writing)
	}
	w := writer(t, s, 2)
	write(t, w, output.Stdout, "four\n")
	w.Close()
	wantLines(t, read(t, open(t, dir, output.Options{}), 1, 0),
		"1 stdout one", "2 stdout two", "3 stderr three", "4 stdout four")
}

// TestAFileTornAnywhereLosesOnlyItsEnd cuts a file at every byte, and adds the
// zeros that the death of a machine leaves.
func TestAFileTornAnywhereLosesOnlyItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, output.Options{})
	for attempt, text := range []string{"one\ntwo\n", "three\n"} {
		w := writer(t, s, attempt+1)
		write(t, w, output.Stdout, text)
		w.Close()
	}
	path, whole := file(t, dir)
	for cut := range len(whole) {
		for _, zeros := range []int{0, 3, 3 * output.MaxLine} {
			torn := whole[:cut] + strings.Repeat("\x00", zeros)
			if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
				t.Fatal(err)
			}
			checkTorn(t, dir, whole[:cut])
		}
	}
}

// checkTorn checks that the whole lines of what is left are read, and that the
// next attempt goes on behind them.
func checkTorn(t *testing.T, dir, left string) {
	t.Helper()
	var want []string
	for line := range strings.Lines(left) {
		if strings.HasSuffix(line, "\n") && !strings.HasPrefix(line, "#") {
			want = append(want, fmt.Sprintf("%d stdout %s", len(want)+1, line[19:len(line)-1]))
		}
	}
	w := writer(t, open(t, dir, output.Options{}), 3)
	before := show(read(t, open(t, dir, output.Options{}), 1, 0).Lines)
	write(t, w, output.Stdout, "more\n")
	w.Close()
	page := read(t, open(t, dir, output.Options{}), 1, 0)
	after := show(page.Lines)
	last := page.Lines[len(page.Lines)-1]
	if len(before) < len(want) || len(after) < len(want)+1 || last.Text != "more" || last.Attempt != 3 {
		t.Fatalf("cut at %d: %d lines, with a further one %d; want %d", len(left), len(before), len(after), len(want))
	}
	if diff := cmp.Diff(want, before[:len(want):len(want)]); len(want) > 0 && diff != "" {
		t.Fatalf("cut at %d (-want +got):\n%s", len(left), diff)
	}
	if diff := cmp.Diff(before, after[:len(after)-1]); len(before) > 0 && diff != "" {
		t.Fatalf("cut at %d, lines before and after one more (-before +after):\n%s", len(left), diff)
	}
}

// FuzzRead reads files of any content: lines come in order, none is too long,
// and the job can be written on.
func FuzzRead(f *testing.F) {
	const head = "# line 1 text 0 attempt 1\n"
	for _, seed := range []string{
		"", head, head + "1763928000123456 o hello\n", head + "1763928000123456 e>open\n",
		head + "x\n\n# line 9 text 5 attempt 2\n1763928000123456 d note\n# line 3 text 1 attempt 1\n",
		head + "1763928000123456 o>a\n1763928000123456 o b\n176392800012345",
		"# line 9223372036854775807 text 0 attempt 1\n1763928000123456 o x\n", "# line -1\n",
	} {
		f.Add([]byte(seed), int64(1))
	}
	f.Fuzz(func(t *testing.T, content []byte, from int64) {
		dir := t.TempDir()
		w := writer(t, open(t, dir, output.Options{}), 1)
		write(t, w, output.Stdout, "x\n")
		w.Close()
		path, _ := file(t, dir)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, output.Options{})
		checkOrder(t, read(t, s, from, 100))
		w = writer(t, s, 2)
		write(t, w, output.Stdout, "more\n")
		w.Close()
		var text strings.Builder
		if err := open(t, dir, output.Options{}).WriteText(t.Context(), id, &text); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(text.String(), "more\n") {
			t.Errorf("the text ends with %q, want more", text.String()[max(0, text.Len()-100):])
		}
	})
}

func checkOrder(t *testing.T, page output.Page) {
	t.Helper()
	before := int64(0)
	for _, l := range page.Lines {
		if l.Number <= before || len(l.Text) > 3*(output.MaxLine+100) {
			t.Fatalf("line %d of %d bytes behind line %d", l.Number, len(l.Text), before)
		}
		before = l.Number
	}
}

func TestTheMiddleIsCutAndTheNumbersGoOn(t *testing.T) {
	t.Parallel()
	const limit, lines, width = 64 << 10, 20_000, 24
	dir := t.TempDir()
	s := open(t, dir, output.Options{MaxPerJob: limit})
	w := writer(t, s, 1)
	for i := range lines {
		write(t, w, output.Stdout, fmt.Sprintf("%0*d\n", width-1, i+1))
	}
	live := read(t, s, 1, 0)
	w.Close()
	again := read(t, open(t, dir, output.Options{}), 1, 0)
	if diff := cmp.Diff(show(live.Lines), show(again.Lines)); diff != "" {
		t.Errorf("after a restart (-live +read):\n%s", diff)
	}
	size := 0
	for _, content := range files(t, dir) {
		size += len(content)
	}
	if size > limit+1024 || size < limit*9/10 {
		t.Errorf("%d bytes in files, want about %d", size, limit)
	}
	var cut output.Line
	var before int64
	for _, l := range live.Lines {
		if l.Stream == output.Distro {
			missing := l.Number - before
			want := fmt.Sprintf("… %s bytes (%s lines) cut …", commas(missing*width), commas(missing))
			if cut.Number > 0 || l.Text != want || l.Number < lines/2 {
				t.Errorf("line %d is %q, want one %q", l.Number, l.Text, want)
			}
			cut = l
		} else if l.Number != before+1 || l.Text != fmt.Sprintf("%0*d", width-1, l.Number) {
			t.Fatalf("line %d is %q behind line %d", l.Number, l.Text, before)
		}
		before = l.Number
	}
	if before != lines || cut.Number == 0 || live.Next != lines+1 {
		t.Errorf("last line %d, cut up to %d, next %d; want %d", before, cut.Number, live.Next, lines)
	}
	page := read(t, s, cut.Number-500, 2) // within the cut
	if len(page.Lines) != 2 || page.Lines[0].Number != cut.Number || page.Next != cut.Number+2 {
		t.Errorf("from within the cut: %q, next %d", show(page.Lines), page.Next)
	}
	if page := read(t, s, -lines/2, 1); page.Lines[0].Number != cut.Number {
		t.Errorf("from the end into the cut: %q", show(page.Lines))
	}
}

func commas(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", commas(n/1000), n%1000)
}

func TestWhatCannotBeStoredIsCountedAndSaid(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(w *output.Writer){
		"by the next line": func(w *output.Writer) { write(t, w, output.Stdout, "seen\n") },
		"by the close":     func(*output.Writer) {},
	} {
		dir := t.TempDir()
		s := open(t, dir, output.Options{})
		w := writer(t, s, 1)
		path := blocked(t, s, w, dir)
		write(t, w, output.Stdout, "lost\nlost too\n")
		if err := os.Remove(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		store(w)
		w.Close()
		page := read(t, open(t, dir, output.Options{}), 1, 0)
		if page.Total < 2 || page.Lines[0].Text != "… 14 bytes (2 lines) cut …" || page.Lines[0].Number != 2 {
			t.Errorf("%s: %q", name, show(page.Lines))
		}
	}
}

// blocked puts a file where the writer needs a folder, and returns the path of
// the file it wants to write.
func blocked(t *testing.T, s *output.Store, w *output.Writer, dir string) string {
	t.Helper()
	write(t, w, output.Stdout, "x\n")
	path, _ := file(t, dir)
	if err := s.Delete(id); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
