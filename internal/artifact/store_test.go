package artifact_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/artifact"
)

// bundle is a Store and its folder.
type bundle struct {
	*artifact.Store
	t   *testing.T
	dir string
}

func setup(t *testing.T) bundle {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "artifacts")
	return bundle{artifact.New(dir), t, dir}
}

// leave makes a file as an attempt would.
func (b bundle) leave(jobID string, attempt int, name, text string) string {
	b.t.Helper()
	file := filepath.Join(b.dir, artifact.Folder(jobID, attempt), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return file
}

func (b bundle) names(jobID string) []string {
	b.t.Helper()
	files, err := b.List(jobID)
	if err != nil {
		b.t.Fatal(err)
	}
	names := []string{}
	for _, f := range files {
		names = append(names, f.Name)
	}
	return names
}

const png = "\x89PNG\r\n\x1a\n0000"

func TestWhatEachAttemptLeftIsListed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if files, err := b.List("job"); len(files) != 0 || err != nil {
		t.Fatalf("before any: %v, %v", files, err)
	}
	b.leave("job", 10, "a.txt", "x")
	b.leave("job", 2, "deep/er/página.html", "<script>")
	b.leave("job", 2, "shot.png", png)
	b.leave("other", 1, "b.txt", "x")
	b.leave("../job", 1, "c.txt", "x")
	stopped := filepath.Join(b.dir, artifact.AfterStop(artifact.Folder("stopped", 3)))
	if err := os.MkdirAll(stopped, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stopped, "d.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"3-stopped/d.txt"}, b.names("stopped")); diff != "" {
		t.Error(diff)
	}
	got, err := b.List("job")
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if time.Since(got[i].ModTime) > time.Hour {
			t.Errorf("%s: %v", got[i].Name, got[i].ModTime)
		}
		got[i].ModTime = time.Time{}
	}
	want := []artifact.File{
		{Name: "2/deep/er/página.html", Attempt: 2, Size: 8, Type: "application/octet-stream"},
		{Name: "2/shot.png", Attempt: 2, Size: 12, Type: "image/png", Image: true},
		{Name: "10/a.txt", Attempt: 10, Size: 1, Type: "application/octet-stream"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1/c.txt"}, b.names("../job")); diff != "" {
		t.Error(diff)
	}
}

func TestAFileIsOpenedByItsName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.leave("job", 1, "deep/a b.txt", "olá")
	content, file, err := b.Open("job", "1/deep/a b.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil || string(text) != "olá" || file.Size != 4 || file.Attempt != 1 || file.Image {
		t.Errorf("%q of %+v, %v", text, file, err)
	}
	outside := b.leave("other", 1, "secret.txt", "secret")
	for _, name := range []string{
		"", ".", "1", "1/", "/1/deep/a b.txt", "1/deep", "1/deep/", "1/none", "2/deep/a b.txt", "1/../1/deep/a b.txt", "1//deep/a b.txt", "./1/deep/a b.txt",
		"1/../../" + filepath.Base(filepath.Dir(filepath.Dir(outside))) + "/1/secret.txt", "../secret", "1/deep\\a b.txt", "1/deep/a b.txt\x00", "1/\xff",
		"x/a", "-1/a", "01/deep/a b.txt", "1-stopped/a", "1/" + strings.Repeat("a/", 5000), outside,
	} {
		if content, _, err := b.Open("job", name); !errors.Is(err, artifact.ErrNotFound) {
			t.Errorf("%.60q: %v, %v", name, content, err)
		}
	}
	if _, _, err := b.Open("none", "1/a"); !errors.Is(err, artifact.ErrNotFound) {
		t.Error(err)
	}
}

func TestOnlyPicturesThatAreSomeAreCalledSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := map[string]string{}
	for i, tt := range []struct{ name, text, want string }{
		{"a.png", png, "image/png"}, {"a.PNG", png, "image/png"}, {"a.jpg", "\xff\xd8\xff\xe0", "image/jpeg"}, {"a.jpeg", "\xff\xd8\xff", "image/jpeg"},
		{"a.gif", "GIF89a", "image/gif"}, {"b.gif", "GIF87a…", "image/gif"}, {"a.webp", "RIFF0000WEBPVP8 ", "image/webp"},
		{"page.png", "<script>alert(1)</script>", ""}, {"empty.png", "", ""}, {"short.png", "\x89PNG", ""}, {"a.gif", "\x89PNG\r\n\x1a\n", ""}, {"r.webp", "RIFF0000WAVE", ""},
		{"shot.html", png, ""}, {"shot", png, ""}, {"a.svg", "<svg/>", ""}, {"a.svg.png", "<svg/>", ""}, {"a.txt", "x", ""},
	} {
		name := fmt.Sprintf("%d/%s", i+1, tt.name)
		b.leave("job", i+1, tt.name, tt.text)
		if want[name] = tt.want; tt.want == "" {
			want[name] = "application/octet-stream"
		}
	}
	files, err := b.List("job")
	if err != nil || len(files) != len(want) {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		content, opened, err := b.Open("job", f.Name)
		if err != nil {
			t.Fatal(err)
		}
		content.Close()
		if diff := cmp.Diff(f, opened); diff != "" || f.Type != want[f.Name] || f.Image != strings.HasPrefix(f.Type, "image/") {
			t.Errorf("%s: %s, want %s\n%s", f.Name, f.Type, want[f.Name], diff)
		}
	}
}

func TestNoMoreFilesAreListedThanAnybodyLooksAt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range artifact.MaxFiles + 5 {
		b.leave("job", 1+i%2, fmt.Sprint(i), "x")
	}
	if n := len(b.names("job")); n != artifact.MaxFiles {
		t.Errorf("%d files", n)
	}
}

func TestTheLargestFilesGoWhereAnAttemptLeftTooMuch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.leave("job", 1, "video", strings.Repeat("x", 1000))
	b.leave("job", 1, "deep/log", strings.Repeat("x", 100))
	b.leave("job", 1, "shot", strings.Repeat("x", 50))
	b.leave("job", 2, "other", strings.Repeat("x", 1000))
	for _, tt := range []struct {
		limit int64
		want  artifact.Dropped
		left  []string
	}{
		{1150, artifact.Dropped{}, []string{"1/deep/log", "1/shot", "1/video", "2/other"}},
		{1149, artifact.Dropped{Files: 1, Bytes: 1000}, []string{"1/deep/log", "1/shot", "2/other"}},
		{10, artifact.Dropped{Files: 2, Bytes: 150}, []string{"2/other"}},
	} {
		got, err := b.Fit(artifact.Folder("job", 1), tt.limit)
		if diff := cmp.Diff(tt.want, got) + cmp.Diff(tt.left, b.names("job")); err != nil || diff != "" {
			t.Errorf("%d: %v %s", tt.limit, err, diff)
		}
	}
	if got, err := b.Fit(artifact.Folder("none", 1), 0); err != nil || got != (artifact.Dropped{}) {
		t.Error(got, err)
	}
	b.leave("deep", 1, strings.Repeat("d/", 40)+"file", "x")
	if got, err := b.Fit(artifact.Folder("deep", 1), 1<<20); err != nil || !got.All || len(b.names("deep")) != 0 {
		t.Errorf("too deep: %+v, %v, %v", got, err, b.names("deep"))
	}
}

func TestFilesGoWithTheirJobAndByTheirAge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.Prune(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	b.leave("deleted", 1, "a", "x")
	locked := filepath.Dir(b.leave("old", 1, "locked/a", "x"))
	b.leave("young", 1, "a", "x")
	if err := os.Chmod(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(b.dir, filepath.Dir(artifact.Folder("old", 1))), then, then); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete("deleted"); err != nil {
		t.Error(err)
	}
	if err := b.Delete("none"); err != nil {
		t.Error(err)
	}
	if err := b.Prune(t.Context(), time.Now().Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(b.dir)
	if err != nil || len(left) != 1 || len(b.names("young")) != 1 {
		t.Errorf("%v are left, %v", left, err)
	}
}
