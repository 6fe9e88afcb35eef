package output_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/output"
)

// at is the time of everything written in these tests.
var at = time.UnixMicro(1_763_928_000_123_456).UTC()

const id = "job-1"

func open(t testing.TB, dir string, o output.Options) *output.Store {
	t.Helper()
	o.Now = func() time.Time { return at }
	s, err := output.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func writer(t testing.TB, s *output.Store, attempt int) *output.Writer {
	t.Helper()
	w := s.Writer(id, attempt)
	return w
}

func write(t testing.TB, w *output.Writer, stream output.Stream, text string) {
	t.Helper()
	if err := w.Write(stream, at, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, s *output.Store, from int64, count int) output.Page {
	t.Helper()
	page, err := s.Read(t.Context(), id, from, count)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// show writes lines as "3 stdout hello", open ones with a ">" at the end and
// continued ones with a "+".
func show(lines []output.Line) []string {
	var shown []string
	for _, l := range lines {
		s := fmt.Sprintf("%d %s %s", l.Number, l.Stream, l.Text)
		if l.Open {
			s += ">"
		}
		if l.Continued {
			s += "+"
		}
		shown = append(shown, s)
	}
	return shown
}

func wantLines(t testing.TB, page output.Page, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, show(page.Lines)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// files returns the content of all files below dir by name.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// file returns the only file below dir.
func file(t testing.TB, dir string) (path, content string) {
	t.Helper()
	found := files(t, dir)
	if len(found) != 1 {
		t.Fatalf("%d files, want one", len(found))
	}
	for path, content = range found {
	}
	return path, content
}

func TestFilesAreAsTheFormatSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, output.Options{})
	w := writer(t, s, 1)
	write(t, w, output.Stdout, "hello\n\nPassword: ")
	write(t, w, output.Stderr, "caf\xe9\n")
	const ended = "# line 1 text 0 attempt 1\n" +
		"1763928000123456 o hello\n" +
		"1763928000123456 o \n" +
		"1763928000123456 e caf\xe9\n"
	_, got := file(t, dir)
	if diff := cmp.Diff(ended+"1763928000123456 o>Password: \n", got); diff != "" {
		t.Errorf("while a line is open (-want +got):\n%s", diff)
	}
	w.Close()
	w = writer(t, s, 2)
	if err := w.Note("attempt 2 began"); err != nil {
		t.Fatal(err)
	}
	write(t, w, output.Stdout, strings.Repeat("x", output.MaxLine+1)+"\n")
	w.Close()
	path, got := file(t, dir)
	want := ended + "1763928000123456 o Password: \n" +
		"# line 5 text 23 attempt 2\n" +
		"1763928000123456 d attempt 2 began\n" +
		"1763928000123456 o+" + strings.Repeat("x", output.MaxLine) + "\n" +
		"# line 7 text 65576 attempt 2\n" +
		"1763928000123456 o x\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	if rel, _ := filepath.Rel(dir, path); filepath.ToSlash(rel) != "02/6ab639c21df8aa80e5789370a9db1b8b524b776fd8a0c2ba71efb377ecc7d9.log" {
		t.Errorf("the file is %q", rel)
	}
}

func TestAnOpenLineIsReadAtOnceAndEndsUnderItsNumber(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	defer w.Close()
	write(t, w, output.Stdout, "one\nname? ")
	page := read(t, s, 1, 0)
	wantLines(t, page, "1 stdout one", "2 stdout name? >")
	if page.Next != 2 || page.Total != 2 || !page.Writing {
		t.Errorf("next %d, total %d, writing %t; want 2, 2, true", page.Next, page.Total, page.Writing)
	}
	write(t, w, output.Stderr, "warning\n")
	wantLines(t, read(t, s, page.Next, 0), "2 stderr warning", "3 stdout name? >")
	write(t, w, output.Stdout, "Ada\n")
	page = read(t, s, 3, 0)
	wantLines(t, page, "3 stdout name? Ada")
	if page.Next != 4 {
		t.Errorf("next is %d, want 4", page.Next)
	}
}

func TestEveryAttemptAppendsAndCloseEndsOpenLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, output.Options{})
	first, second := writer(t, s, 1), writer(t, s, 2)
	write(t, first, output.Stdout, "a")
	write(t, second, output.Stdout, "b\n")
	first.Close()
	first.Close()
	second.Close()
	if err := first.Write(output.Stdout, at, []byte("x")); !errors.Is(err, output.ErrClosed) {
		t.Errorf("write after close: %v, want ErrClosed", err)
	}
	for _, s := range []*output.Store{s, open(t, dir, output.Options{})} {
		page := read(t, s, 1, 0)
		wantLines(t, page, "1 stdout b", "2 stdout a")
		if got := []int{page.Lines[0].Attempt, page.Lines[1].Attempt}; !cmp.Equal(got, []int{2, 1}) {
			t.Errorf("attempts %v, want [2 1]", got)
		}
		if page.Writing || !page.Lines[0].At.Equal(at) {
			t.Errorf("writing %t, at %v", page.Writing, page.Lines[0].At)
		}
	}
}

func TestAJobWithoutOutputHasAnEmptyPageAndNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, output.Options{})
	writer(t, s, 1).Close()
	page := read(t, s, -100, 10)
	if len(page.Lines) != 0 || page.Next != 1 || page.Total != 0 {
		t.Errorf("page %+v, want an empty one", page)
	}
	if found := files(t, dir); len(found) > 0 {
		t.Errorf("files %v, want none", found)
	}
	if err := s.Delete(id); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestForeignIDsStayInTheFolderAndFilesArePrivate(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "output")
	s := open(t, dir, output.Options{})
	ids := []string{"../../x", "/etc/passwd", "a\x00b", "CON", "ä", strings.Repeat("y", 5000), "A", "a"}
	for _, id := range ids {
		w := s.Writer(id, 1)
		write(t, w, output.Stdout, id)
		w.Close()
	}
	if n := len(files(t, dir)); n != len(ids) || len(files(t, parent)) != n {
		t.Errorf("%d files in the folder, want %d and none beside it", n, len(ids))
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&^0o700 != 0 && os.PathSeparator == '/' {
			t.Errorf("%s has mode %v: others may use it", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAWriteWithoutStreamAndAStoreWithoutFolderAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	defer w.Close()
	if err := w.Write('x', at, []byte("x")); err == nil {
		t.Error("a write without stream")
	}
	if _, err := output.Open(string([]byte{0}), output.Options{}); err == nil {
		t.Error("a store without folder")
	}
}
