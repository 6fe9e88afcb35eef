//go:build unix

package artifact_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/artifact"
)

func TestNothingButTheRegularFilesOfTheJobIsReached(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret := filepath.Join(t.TempDir(), "config.cfg")
	if err := os.WriteFile(secret, []byte("auth_token"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(b.leave("job", 1, "good", "x"))
	b.leave("job", 1, "dir/inner", "x")
	theirs := filepath.Dir(b.leave("other", 1, "theirs", "x"))
	for name, target := range map[string]string{
		"absolute": secret, "up": "../../../../etc/passwd", "self": "good", "loop": "loop", "folder": filepath.Dir(secret), "inside": "dir", "neighbour": theirs, "device": "/dev/zero",
	} {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"pipe", "dir/pipe.png"} {
		if err := syscall.Mkfifo(filepath.Join(folder, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "lat\xedn"), nil, 0o600); err != nil && !errors.Is(err, syscall.EILSEQ) {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, filepath.Join(filepath.Dir(folder), "2")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1/dir/inner", "1/good"}, b.names("job")); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{
		"1/absolute", "1/up", "1/self", "1/loop", "1/folder/config.cfg", "1/inside/inner", "1/neighbour/theirs", "1/device", "1/pipe", "1/dir/pipe.png", "1/dir", "1/lat\xedn", "2/good",
	} {
		if _, _, err := b.Open("job", name); !errors.Is(err, artifact.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	// A job's folder that is a link to another's is nobody's.
	if err := os.Symlink(filepath.Dir(folder), filepath.Join(b.dir, filepath.Dir(artifact.Folder("linked", 1)))); err != nil {
		t.Fatal(err)
	}
	if got := b.names("linked"); len(got) != 0 {
		t.Errorf("through a link: %v", got)
	}
}
