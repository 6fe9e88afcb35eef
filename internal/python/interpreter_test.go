//go:build !windows

package python_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

func TestAnInterpreterTellsVersionPlatformAndStandardLibrary(t *testing.T) {
	t.Parallel()
	found := findPython(t)
	out, err := exec.CommandContext(t.Context(), "python3", "-c",
		"import sys; print(sys.version.split()[0].rstrip('+'), sys.platform, sys.executable)").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join([]string{found.Version, found.Platform, found.Executable}, " "), strings.TrimSpace(string(out)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.IsSorted(found.Stdlib) {
		t.Error("the names of the standard library are not sorted")
	}
	for _, name := range []string{"json", "os", "sys", "time", "_socket", "email"} {
		if !found.InStdlib(name) {
			t.Errorf("%s is not of the standard library", name)
		}
	}
	for _, name := range []string{"report", "pip", "requests", "test", ""} {
		if found.InStdlib(name) {
			t.Errorf("%q is of the standard library", name)
		}
	}
}

func TestAutoTakesTheVirtualEnvironmentsInTheirOrder(t *testing.T) {
	t.Parallel()
	real := findPython(t)
	modules, active := t.TempDir(), t.TempDir()
	find := func(o python.InterpreterOptions) string {
		t.Helper()
		found, err := python.FindInterpreter(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return found.Path
	}
	link := func(path string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real.Executable, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	auto := python.InterpreterOptions{Setting: "auto", ModulesDir: modules, VirtualEnv: active}
	if got := find(auto); got != real.Path {
		t.Errorf("without any environment: %s, want %s", got, real.Path)
	}
	for _, path := range []string{
		filepath.Join(modules, "venv/bin/python"), filepath.Join(modules, ".venv/bin/python"), filepath.Join(active, "bin/python"),
	} {
		want := link(path)
		if got := find(auto); got != want {
			t.Errorf("got %s, want %s with its symlink kept", got, want)
		}
	}
	if got, want := find(python.InterpreterOptions{Setting: filepath.Join(modules, "venv")}), filepath.Join(modules, "venv/bin/python"); got != want {
		t.Errorf("the folder of an environment as setting: %s, want %s", got, want)
	}
	if got := find(python.InterpreterOptions{Setting: "python3", VirtualEnv: active}); got != real.Path {
		t.Errorf("a name as setting: %s, want %s", got, real.Path)
	}
}

func TestWhatCannotBeUsedIsRefusedInOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "gone/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "gone/bin/python")); err != nil {
		t.Fatal(err)
	}
	lines := func(version string) string { return "printf 'distro-probe\\n" + version + "\\n/x\\nlinux\\n\\n'" }
	for _, test := range []struct {
		name string
		o    python.InterpreterOptions
		want string
	}{
		{"missing", python.InterpreterOptions{Setting: filepath.Join(dir, "absent")}, "there is no interpreter"},
		{"broken environment", python.InterpreterOptions{VirtualEnv: filepath.Join(dir, "gone")}, "does not run"},
		{"too old", python.InterpreterOptions{Setting: script(t, filepath.Join(dir, "old"), lines("3.8.18"))}, "is Python 3.8.18, and Distro needs 3.9 or newer"},
		{"far too old", python.InterpreterOptions{Setting: script(t, filepath.Join(dir, "older"), lines("2.7.18"))}, "is Python 2.7.18"},
		{"no Python", python.InterpreterOptions{Setting: script(t, filepath.Join(dir, "echo"), "echo hello")}, "does not answer as Python does"},
		{"crash", python.InterpreterOptions{Setting: script(t, filepath.Join(dir, "crash"), "echo first >&2; echo no encodings >&2; exit 1")}, "no encodings"},
		{"endless output", python.InterpreterOptions{Setting: script(t, filepath.Join(dir, "yes"), "yes | head -c 3000000; exit 1")}, "does not run"},
	} {
		_, err := python.FindInterpreter(t.Context(), test.o)
		if distro.ErrorCode(err) != distro.CodeInvalid || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", test.name, err, test.want)
		}
	}
	newer, err := python.FindInterpreter(t.Context(), python.InterpreterOptions{Setting: script(t, filepath.Join(dir, "newer"), lines("3.100.0"))})
	if err != nil || newer.Version != "3.100.0" {
		t.Errorf("a newer Python: %v, %v", newer, err)
	}
}

func TestAnInterpreterThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "started")
	if err := exec.CommandContext(t.Context(), "mkfifo", fifo).Run(); err != nil {
		t.Fatal(err)
	}
	setting := script(t, filepath.Join(dir, "hangs"), "echo up > "+fifo+"; exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := python.FindInterpreter(ctx, python.InterpreterOptions{Setting: setting})
		failed <- err
	}()
	if _, err := os.ReadFile(fifo); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("got %v", err)
	}
}
