//go:build linux

package python_test

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writeWheel makes a package of one module by hand, as no index is at hand.
func writeWheel(t *testing.T, dir, name, version string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, name+"-"+version+"-py3-none-any.whl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info := name + "-" + version + ".dist-info/"
	w := zip.NewWriter(file)
	for _, entry := range [][2]string{
		{name + ".py", "version = '" + version + "'\n"},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", name + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		part, err := w.Create(entry[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte(entry[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestUVInstallsFromAFolder runs where uv is installed. What pip does is tested
// through the binary.
func TestUVInstallsFromAFolder(t *testing.T) {
	t.Parallel()
	uv, err := exec.LookPath("uv")
	if err != nil {
		t.Skip("uv is not installed")
	}
	s := newSite(t)
	wheels := filepath.Join(s.dir, "wheels")
	writeWheel(t, wheels, "pkg", "1.5")
	s.opts.Environ = append(os.Environ(), "PATH="+filepath.Dir(uv)+":"+os.Getenv("PATH"), "UV_NO_INDEX=1", "UV_FIND_LINKS="+wheels, "UV_OFFLINE=1")
	s.write("requirements.txt", "pkg>=1\n")
	v := s.start()
	if view, told := v.run("job.version"); view != "1.5" || len(told) > 1 {
		t.Errorf("%q, told %q", view, told)
	}
	s.write("requirements.txt", "pkg>=2\n")
	v.log.await("cannot be prepared", 1)
	view, told := v.run("job.version")
	if view != "1.5" || len(told) != 1 || !strings.Contains(told[0], "an earlier requirements.txt") || !strings.Contains(told[0], "pkg>=2") {
		t.Errorf("%q, told %q", view, told)
	}
}
