//go:build unix

package output_test

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/distro-orchestrator/distro/internal/output"
)

// TestAFullDiskDropsLinesUntilThereIsRoom runs in a process of its own, whose
// files may not grow beyond a size, as on a full disk.
func TestAFullDiskDropsLinesUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	const role = "OUTPUT_TEST_FULL_DISK"
	if os.Getenv(role) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		child.Env = append(os.Environ(), role+"=1")
		if printed, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = 1000
	dir := t.TempDir()
	s := open(t, dir, output.Options{})
	w := writer(t, s, 1)
	write(t, w, output.Stdout, "kept\nalso op")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	write(t, w, output.Stdout, "en\n"+strings.Repeat("lost\n", 200))
	write(t, w, output.Stderr, strings.Repeat("lost\n", 300))
	page := read(t, s, 1, 0)
	wantLines(t, page, "1 stdout kept", "502 distro … 2,510 bytes (501 lines) cut …")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	write(t, w, output.Stdout, "back\n")
	w.Close()
	for _, s := range []*output.Store{s, open(t, dir, output.Options{})} {
		wantLines(t, read(t, s, 1, 0),
			"1 stdout kept", "502 distro … 2,510 bytes (501 lines) cut …", "503 stdout back")
	}
}
