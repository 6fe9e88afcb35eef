package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemdUnderstandsTheUnits also holds how much the services may do against
// a bound.
func TestSystemdUnderstandsTheUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze")
	}
	dir := t.TempDir()
	distro, err := exec.LookPath("distro")
	if err != nil {
		t.Fatal(err)
	}
	for file, name := range map[string]string{"distro.service": "distro.service", "distro-worker@.service": "distro-worker@1.service"} {
		unit := strings.ReplaceAll(read(t, root, "packaging/systemd", file), "/usr/bin/distro", distro)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		var problems bytes.Buffer
		verify := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", filepath.Join(dir, name))
		verify.Stdout, verify.Stderr = &problems, &problems
		if err := verify.Run(); err != nil || strings.Contains(problems.String(), name) {
			t.Errorf("%s: %v\n%s", name, err, problems.String())
		}
		const bound = 30 // of 100, the less the better
		text, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", fmt.Sprint("--threshold=", bound), filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			t.Errorf("%s may do too much: %v\n%s", name, err, text)
		}
	}
}
