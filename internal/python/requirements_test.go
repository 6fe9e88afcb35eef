//go:build unix

package python_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/distro-orchestrator/distro/internal/python"
)

func FuzzRequirements(f *testing.F) {
	for _, seed := range []string{
		"", "# nothing", "pkg==1 # one\n-r other.txt", "-r requirements.txt", "-c", "--requirement=", "-r https://host/x.txt",
		"own @ file://", "own @ file:///x/own-1.whl#sha256=0", "./own-1.whl", ".whl", "-e .", "file:// \x00.zip", "-r \x00", "-r /dev/zero", "/dev/zero.whl",
	} {
		f.Add(seed)
	}
	bin := f.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "uv"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		modules := t.TempDir()
		if err := os.WriteFile(filepath.Join(modules, "requirements.txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		base := python.Interpreter{Version: "3.11.2", Executable: "/usr/bin/python3", Platform: "linux"}
		first, err := python.InspectEnvironment(t.Context(), base, modules, t.TempDir(), []string{"PATH=" + bin})
		if err == nil && first.Wanted && first.Tool != "uv" {
			t.Errorf("%+v", first)
		}
	})
}
