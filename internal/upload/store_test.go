package upload_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro/internal/upload"
)

// bundle is a Store and its folder.
type bundle struct {
	*upload.Store
	t   *testing.T
	dir string
}

func setup(t *testing.T) bundle {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "uploads")
	s, err := upload.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return bundle{s, t, dir}
}

func (b bundle) save(name, key, content string) upload.File {
	b.t.Helper()
	file, err := b.Save(name, key, strings.NewReader(content), 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	return file
}

// entries are what stands in the folder.
func (b bundle) entries() []string {
	b.t.Helper()
	list, err := os.ReadDir(b.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	names := []string{}
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return names
}

// age makes a folder as old as a day.
func (b bundle) age(name string) {
	b.t.Helper()
	then := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(filepath.Join(b.dir, name), then, then); err != nil {
		b.t.Fatal(err)
	}
}

func TestAFileIsKeptForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file := b.save("../../nota fiscal.xml", "", "<xml/>")
	if want := filepath.Join(b.dir, file.ID, "nota fiscal.xml"); file.Path != want || file.Size != 6 {
		t.Errorf("got %+v, want path %s", file, want)
	}
	if found, err := b.Find(file.ID); err != nil || found != file {
		t.Errorf("found %+v, %v", found, err)
	}
	content, err := os.ReadFile(file.Path)
	if err != nil || string(content) != "<xml/>" {
		t.Errorf("holds %q, %v", content, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for path, mode := range map[string]os.FileMode{b.dir: 0o700, filepath.Dir(file.Path): 0o700, file.Path: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestAnEmptyFileIsAFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if file := b.save("empty", "", ""); file.Size != 0 {
		t.Errorf("got %+v", file)
	}
}

func TestNothingStaysOfWhatDoesNotArriveWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		content io.Reader
		want    error
	}{
		{strings.NewReader("12345"), upload.ErrTooLarge},
		{io.MultiReader(strings.NewReader("12"), iotest.ErrReader(io.ErrUnexpectedEOF)), upload.ErrInterrupted},
	} {
		if _, err := b.Save("x", "", c.content, 4); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
	if list := b.entries(); len(list) > 0 {
		t.Errorf("the folder holds %v", list)
	}
	if _, err := b.Save("x", "", strings.NewReader("1234"), 4); err != nil {
		t.Errorf("what is as long as it may be: %v", err)
	}
}

func TestWhatACrashLeftIsDeletedAtTheNextStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file := b.save("x", "", "x")
	half := filepath.Join(b.dir, "new-0123")
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "y"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Find("new-0123"); !errors.Is(err, upload.ErrNotFound) {
		t.Errorf("half a file is found: %v", err)
	}
	if _, err := upload.Open(b.dir); err != nil {
		t.Fatal(err)
	}
	if list := b.entries(); len(list) != 1 || list[0] != file.ID {
		t.Errorf("the folder holds %v", list)
	}
}

func TestWhatIsSentTwiceAtOnceIsOneFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file := b.save("x", "form", "same")
	if again := b.save("x", "form", "same"); again != file {
		t.Errorf("got %+v, want %+v", again, file)
	}
	others := []upload.File{b.save("x", "form", "else"), b.save("y", "form", "same"), b.save("x", "other", "same"), b.save("x", "", "same")}
	b.age(file.ID)
	others = append(others, b.save("x", "form", "same"))
	for _, other := range others {
		if other.ID == file.ID {
			t.Errorf("%+v is the same", other)
		}
	}
	if n := len(b.entries()); n != 6 {
		t.Errorf("there are %d files", n)
	}
}

func TestIDsNameNothingButFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	outside := filepath.Join(t.TempDir(), "0123456789abcdef0123456789abcdef")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	linked, file := "ffffffffffffffffffffffffffffffff", b.save("x", "", "x")
	if err := os.Symlink(outside, filepath.Join(b.dir, linked)); err != nil {
		t.Skipf("links cannot be made: %v", err)
	}
	for _, id := range []string{"", ".", "..", "/", outside, "../" + filepath.Base(outside), file.ID + "/", file.ID + "/x", strings.ToUpper(file.ID) + "\x00", linked, strings.Repeat("0", 32)} {
		if found, err := b.Find(id); !errors.Is(err, upload.ErrNotFound) {
			t.Errorf("%q: %+v, %v", id, found, err)
		}
	}
	if err := os.Remove(file.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "secret"), file.Path); err != nil {
		t.Fatal(err)
	}
	if found, err := b.Find(file.ID); !errors.Is(err, upload.ErrNotFound) {
		t.Errorf("a link in the place of a file: %+v, %v", found, err)
	}
	if err := b.Prune(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if list := b.entries(); len(list) > 0 {
		t.Errorf("the folder holds %v", list)
	}
	if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
		t.Errorf("what a link led to: %v", err)
	}
}

func TestAFolderThatIsALinkIsNotUsed(t *testing.T) {
	t.Parallel()
	dir, outside := filepath.Join(t.TempDir(), "uploads"), t.TempDir()
	if err := os.Symlink(outside, dir); err != nil {
		t.Skipf("links cannot be made: %v", err)
	}
	s, err := upload.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save("x", "", strings.NewReader("x"), 1); err == nil {
		t.Error("a file is kept behind a link")
	}
	if list, err := os.ReadDir(outside); err != nil || len(list) > 0 {
		t.Errorf("behind the link is %v, %v", list, err)
	}
}

func TestOldFilesAreDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.Prune(t.Context(), time.Now()); err != nil {
		t.Errorf("nothing has come yet: %v", err)
	}
	old, young := b.save("old", "", "x"), b.save("young", "", "x")
	inner := filepath.Join(b.dir, old.ID, "made by a job")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{inner, filepath.Dir(old.Path)} {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	b.age(old.ID)
	if err := b.Prune(t.Context(), time.Now().Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	if list := b.entries(); len(list) != 1 || list[0] != young.ID {
		t.Errorf("the folder holds %v", list)
	}
}

func TestNamesBecomeHarmless(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"relatório 2026.csv":               "relatório 2026.csv",
		"/etc/passwd":                      "passwd",
		`C:\fakepath\nota.xml`:             "nota.xml",
		"../..":                            "file",
		"":                                 "file",
		".bashrc":                          "bashrc",
		"..hidden.":                        "hidden",
		"a\x00b\nc\x7f.txt":                "abc.txt",
		"exe.\u202etxt\u2066":              "exe.txt",
		"\u200b\ufeff":                     "file",
		"a\xff\xfeb":                       "ab",
		`a<b>:"c|d?e*`:                     "a_b___c_d_e_",
		"con":                              "_con",
		"LPT1.txt":                         "_LPT1.txt",
		"a.txt. .":                         "a.txt",
		"$(reboot);`x`.sh":                 "$(reboot);`x`.sh",
		strings.Repeat("é", 300):           strings.Repeat("é", 60),
		strings.Repeat("a", 300) + ".xlsx": strings.Repeat("a", 115) + ".xlsx",
		"a." + strings.Repeat("b", 300):    "a." + strings.Repeat("b", 118),
		"dir/" + strings.Repeat(".", 300) + "end":                 "end",
		strings.Repeat("x", 119) + "é." + strings.Repeat("y", 20): strings.Repeat("x", 99) + "." + strings.Repeat("y", 20),
	} {
		if got := upload.CleanName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func FuzzNamesBecomeHarmless(f *testing.F) {
	for _, name := range []string{"a/b", "..", "\u202e", "con.", " . ", strings.Repeat("é.", 200), "nul" + strings.Repeat(".", 200) + "x"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean := upload.CleanName(name)
		hidden := func(r rune) bool { return !unicode.IsGraphic(r) || strings.ContainsRune(`/\:`, r) }
		switch {
		case clean == "", len(clean) > 120, !utf8.ValidString(clean), strings.ContainsFunc(clean, hidden),
			clean[0] == '.', filepath.Base(clean) != clean, !filepath.IsLocal(clean):
			t.Errorf("%q becomes %q", name, clean)
		case upload.CleanName(clean) != clean:
			t.Errorf("%q becomes %q, and that %q", name, clean, upload.CleanName(clean))
		}
	})
}
