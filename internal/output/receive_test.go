package output_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro/internal/output"
)

const run = "0123456789abcdef"

func receiver(t testing.TB, s *output.Store, run string, attempt int) *output.Receiver {
	t.Helper()
	r, err := s.Receiver(id, run, attempt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fragment is what a worker sends of its Store, in which a run has its own name.
func fragment(t testing.TB, s *output.Store, from int64, size int) output.Fragment {
	t.Helper()
	f, err := s.Fragment(t.Context(), run, from, size)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func receive(t testing.TB, r *output.Receiver, f output.Fragment) {
	t.Helper()
	if err := r.Append(f.Text); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsReceivedIsMarkedAsTheFormatSays(t *testing.T) {
	t.Parallel()
	there, dir := open(t, t.TempDir(), output.Options{}), t.TempDir()
	here := open(t, dir, output.Options{})
	w := there.Writer(run, 2)
	write(t, w, output.Stdout, "one\ntwo")
	write(t, w, output.Stderr, "caf\xe9\n")
	own := writer(t, here, 1)
	write(t, own, output.Stdout, "first\n")
	r := receiver(t, here, run, 2)
	f := fragment(t, there, 1, 1<<20)
	if want := "# line 1 text 0 attempt 2\n1763928000123456 o one\n1763928000123456 e caf\xe9\n1763928000123456 o>two\n"; string(f.Text) != want ||
		f.Next != 3 || f.Lines != 2 || f.Open != 3 || f.More {
		t.Errorf("fragment %+v with text %q", f, f.Text)
	}
	receive(t, r, f)
	wantLines(t, read(t, here, 1, 0), "1 stdout first", "2 stdout one", "3 stderr caf\uFFFD", "4 stdout two>")
	write(t, own, output.Stdout, "between\n")
	w.Close()
	receive(t, r, fragment(t, there, f.Next, 1<<20))
	if page := read(t, here, 1, 0); !page.Writing {
		t.Error("nobody writes while a run is received")
	}
	r.Close()
	own.Close()
	_, got := file(t, dir)
	want := "# line 1 text 0 attempt 1\n" +
		"1763928000123456 o first\n" +
		"# line 2 text 6 attempt 2 run 0123456789abcdef line 1 text 0\n" +
		"1763928000123456 o one\n" +
		"1763928000123456 e caf\xe9\n" +
		"# line 4 text 15 attempt 1\n" +
		"1763928000123456 o between\n" +
		"# line 5 text 23 attempt 2 run 0123456789abcdef line 3 text 9\n" +
		"1763928000123456 o two\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if end := fragment(t, there, 4, 1<<20); string(end.Text) != "# line 4 text 13 attempt 0\n" || end.Next != 4 || end.Lines != 0 {
		t.Errorf("behind the end: %+v with text %q", end, end.Text)
	}
}

// transit is the way of a run from one Store to another, over a line that
// loses, repeats and delays, and processes that die.
type transit struct {
	t           testing.TB
	there, here *output.Store
	dir         string // of here
	w           *output.Writer
	r           *output.Receiver
	next        int64
	sent        [][]byte // every fragment ever taken

	before string // the file before the last append
	others int    // lines of an attempt that ran here
	dead   bool   // nothing was appended since a death
}

func (s *transit) write(r *rapid.T) {
	stream := rapid.SampledFrom([]output.Stream{output.Stdout, output.Stderr}).Draw(r, "stream")
	write(s.t, s.w, stream, rapid.StringMatching(`([a-z]{0,30}\n){0,3}[a-z]{0,3}`).Draw(r, "text"))
}

// take takes the next fragment to send.
func (s *transit) take(r *rapid.T) output.Fragment {
	f := fragment(s.t, s.there, s.next, rapid.SampledFrom([]int{1, 100, 10_000}).Draw(r, "size"))
	s.sent = append(s.sent, f.Text)
	return f
}

func (s *transit) append(text []byte) {
	s.before, s.dead = content(s.t, s.dir), false
	if err := s.r.Append(text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *transit) ship(r *rapid.T) {
	f := s.take(r)
	s.append(f.Text)
	s.next = f.Next
}

// shipUnanswered lets a fragment arrive whose reply is lost.
func (s *transit) shipUnanswered(r *rapid.T) { s.append(s.take(r).Text) }

// repeat lets a fragment arrive again, or late.
func (s *transit) repeat(r *rapid.T) {
	if len(s.sent) > 0 {
		s.append(rapid.SampledFrom(s.sent).Draw(r, "fragment"))
	}
}

// die kills the receiving process between two fragments.
func (s *transit) die(*rapid.T) {
	s.here = open(s.t, s.dir, output.Options{})
	s.r, s.dead = receiver(s.t, s.here, run, 1), true
}

// suspend ends the receiving process in order.
func (s *transit) suspend(*rapid.T) {
	s.r.Suspend()
	s.r, s.dead = receiver(s.t, s.here, run, 1), true
}

// dieWithin kills it in the middle of writing one, which nobody has answered.
func (s *transit) dieWithin(r *rapid.T) {
	f := s.take(r)
	s.append(f.Text)
	after := content(s.t, s.dir)
	same := 0
	for same < min(len(s.before), len(after)) && s.before[same] == after[same] {
		same++
	}
	if len(after) > 0 {
		path, _ := file(s.t, s.dir)
		cut := rapid.IntRange(same, len(after)).Draw(r, "cut")
		if err := os.WriteFile(path, []byte(after[:cut]), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.die(r)
}

// other prints a line of another attempt, which runs here. Behind a death it
// would end open lines of the run, which then come again.
func (s *transit) other(*rapid.T) {
	if s.dead {
		return
	}
	w := writer(s.t, s.here, 2)
	write(s.t, w, output.Stdout, "other\n")
	w.Close()
	s.others++
}

// content is that of the only file below dir; empty where there is none.
func content(t testing.TB, dir string) string {
	t.Helper()
	all := ""
	for _, text := range files(t, dir) {
		all += text
	}
	return all
}

// texts returns the lines of an attempt.
func (s *transit) texts(store *output.Store, job string, attempt int) (lines []string) {
	page, err := store.Read(s.t.Context(), job, 1, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range page.Lines {
		if l.Attempt == attempt && !l.Open {
			lines = append(lines, fmt.Sprintf("%s %s %v %t", l.Stream, l.Text, l.At, l.Continued))
		}
	}
	return lines
}

// TestEachLineOfARunIsStoredOnceAndInOrder loses and repeats fragments, and
// kills the process that stores them, at random.
func TestEachLineOfARunIsStoredOnceAndInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := &transit{t: t, there: open(t, t.TempDir(), output.Options{}), dir: t.TempDir(), next: 1}
		s.w = s.there.Writer(run, 1)
		s.die(r)
		r.Repeat(map[string]func(*rapid.T){
			"write": s.write, "write more": s.write, "ship": s.ship, "ship more": s.ship, "ship unanswered": s.shipUnanswered,
			"repeat": s.repeat, "die": s.die, "suspend": s.suspend, "die within": s.dieWithin, "other": s.other,
			"": func(r *rapid.T) {
				want, got := s.texts(s.there, run, 1), s.texts(s.here, id, 1)
				if len(got) > len(want) || int64(len(got)) < s.next-1 || !slices.Equal(want[:len(got)], got) {
					r.Fatalf("%d lines were shipped (-want +got):\n%s", s.next-1, cmp.Diff(want, got))
				}
			},
		})
		s.w.Close()
		for more := true; more; {
			f := s.take(r)
			s.append(f.Text)
			s.next, more = f.Next, f.More
		}
		s.r.Close()
		s.die(r)
		if diff := cmp.Diff(s.texts(s.there, run, 1), s.texts(s.here, id, 1)); diff != "" {
			r.Fatalf("in the end (-want +got):\n%s", diff)
		}
		if n := len(s.texts(s.here, id, 2)); n != s.others {
			r.Fatalf("%d lines of the other attempt, want %d", n, s.others)
		}
	})
}

func TestWhatWasCutThereIsSaidHere(t *testing.T) {
	t.Parallel()
	there := open(t, t.TempDir(), output.Options{MaxPerJob: 16 << 10})
	dir := t.TempDir()
	here := open(t, dir, output.Options{})
	w := there.Writer(run, 1)
	for i := range 2000 {
		write(t, w, output.Stdout, fmt.Sprintf("%019d\n", i+1))
	}
	w.Close()
	r := receiver(t, here, run, 1)
	for next, more := int64(1), true; more; {
		f := fragment(t, there, next, 3000)
		receive(t, r, f)
		next, more = f.Next, f.More
		if next == f.Next {
			r.Close()
			here = open(t, dir, output.Options{})
			r = receiver(t, here, run, 1)
		}
	}
	r.Close()
	want, err := there.Read(t.Context(), run, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(show(want.Lines), show(read(t, here, 1, 0).Lines)); diff != "" {
		t.Errorf("(-there +here):\n%s", diff)
	}
	// One that begins in the middle, as when another orchestrator had the rest.
	other := open(t, t.TempDir(), output.Options{})
	r = receiver(t, other, run, 1)
	receive(t, r, fragment(t, there, 1998, 1<<20))
	r.Close()
	wantLines(t, read(t, other, 1, 0), "1997 distro … 39,940 bytes (1,997 lines) cut …",
		"1998 stdout 0000000000000001998", "1999 stdout 0000000000000001999", "2000 stdout 0000000000000002000")
}

func TestTheMiddleOfWhatIsReceivedIsCutToo(t *testing.T) {
	t.Parallel()
	there, dir := open(t, t.TempDir(), output.Options{}), t.TempDir()
	w := there.Writer(run, 1)
	write(t, w, output.Stdout, strings.Repeat("0123456789\n", 20_000))
	w.Close()
	here := open(t, dir, output.Options{MaxPerJob: 64 << 10})
	for next, more := int64(1), true; more; {
		r := receiver(t, here, run, 1)
		f := fragment(t, there, next, 20_000)
		for range 2 {
			receive(t, r, f)
		}
		r.Close()
		next, more = f.Next, f.More
	}
	page := read(t, here, 1, 0)
	if page.Total != 20_000 || len(page.Lines) > 5000 {
		t.Errorf("%d lines of %d are kept", len(page.Lines), page.Total)
	}
	if size := len(content(t, dir)); size > 66<<10 || size < 55<<10 {
		t.Errorf("%d bytes in files", size)
	}
}

func TestWhatCannotBeReceivedIsTakenBack(t *testing.T) {
	t.Parallel()
	there, dir := open(t, t.TempDir(), output.Options{}), t.TempDir()
	here := open(t, dir, output.Options{})
	w := there.Writer(run, 1)
	write(t, w, output.Stdout, "one\ntwo\nthr")
	path := blocked(t, here, writer(t, here, 1), dir)
	r := receiver(t, here, run, 1)
	f := fragment(t, there, 1, 1<<20)
	if err := r.Append(f.Text); err == nil {
		t.Error("appended to a file that cannot be")
	}
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	receive(t, r, f)
	receive(t, r, f)
	for _, wrong := range []string{
		"x\n", "1763928000123456 o x\n", string(f.Text) + "x", "# line 1152921504606846976 text 0 attempt 1\n1763928000123456 o x\n",
	} {
		if err := r.Append([]byte(wrong)); !errors.Is(err, output.ErrFragment) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	wantLines(t, read(t, here, 1, 0), "1 stdout one", "2 stdout two", "3 stdout thr>")
	r.Close()
	if err := r.Append(f.Text); !errors.Is(err, output.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	for _, name := range []string{"", "x", "0123456789abcdeg", strings.Repeat("0", 33), "01234567 line"} {
		if _, err := here.Receiver(id, name, 1); !errors.Is(err, output.ErrFragment) {
			t.Errorf("run %q: %v", name, err)
		}
	}
}

// FuzzReceive appends texts that others made up: lines keep their order, and
// the run goes on.
func FuzzReceive(f *testing.F) {
	const head = "# line 1 text 0 attempt 1\n"
	for _, seed := range []string{
		head, head + "1763928000123456 o hello\n1763928000123456 e>open\n", head + "x\n# line 9 text 5 attempt 2\n1763928000123456 d note\n",
		"# line 5 text 0 attempt 1\n1763928000123456 o a\n# line 1 text 9 attempt 1\n1763928000123456 o+b\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		r := receiver(t, open(t, dir, output.Options{MaxPerJob: 16 << 10}), run, 1)
		_ = r.Append(text)
		s := open(t, dir, output.Options{})
		checkOrder(t, read(t, s, 1, 0))
		r = receiver(t, s, run, 1)
		if err := r.Append([]byte("# line 1152921504606000000 text 0 attempt 1\n1763928000123456 o more\n")); err != nil && !errors.Is(err, output.ErrFragment) {
			t.Fatal(err)
		}
		r.Close()
		checkOrder(t, read(t, open(t, dir, output.Options{}), 1, 0))
	})
}

func TestADraftIsTheSameAsAStoredFragment(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := open(t, t.TempDir(), output.Options{})
		w, copied := s.Writer(run, 3), s.Writer("copy", 3)
		d := output.NewDraft(3)
		for range rapid.IntRange(1, 10).Draw(r, "chunks") {
			stream := rapid.SampledFrom([]output.Stream{output.Stdout, output.Stderr, output.Distro}).Draw(r, "stream")
			text := rapid.OneOf(rapid.StringMatching(`([a-z]{0,9}\n?){0,4}`), rapid.Just(strings.Repeat("\n", 200))).Draw(r, "text")
			if d.Write(stream, at, []byte(text)) {
				write(t, w, stream, text)
			}
		}
		if err := d.CopyTo(copied); err != nil {
			t.Fatal(err)
		}
		w.Close()
		copied.Close()
		want, got := fragment(t, s, 1, 1<<20), d.Fragment()
		again, err := s.Fragment(t.Context(), "copy", 1, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if want.Lines > 0 && (string(want.Text) != string(got.Text) || string(want.Text) != string(again.Text)) || want.Next != got.Next || want.Lines != got.Lines {
			r.Fatalf("stored %q\ndraft %q\ncopied %q", want.Text, got.Text, again.Text)
		}
	})
	if d := output.NewDraft(1); d.Write(output.Stdout, at, make([]byte, 10_000)) || d.Write('x', at, []byte("x")) {
		t.Error("a draft takes what it should not")
	}
}
