package e2e_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// published is what a release consists of.
type published struct {
	dir   string
	files []string
}

// publish makes a release of what is there: for this system, or in soak for all.
func publish(t *testing.T) published {
	t.Helper()
	p := published{dir: filepath.Join(t.TempDir(), "dist")}
	args := []string{"run", "./packaging/release", "-snapshot", "-out", p.dir}
	if os.Getenv("DISTRO_SOAK") == "" {
		args = append(args, "-systems", "linux/"+runtime.GOARCH)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Logf("%s", text)
	for line := range strings.Lines(read(t, p.dir, "SHA256SUMS")) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		data, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(data)) != sum {
			t.Errorf("checksum of %s: %v", name, err)
		}
		p.files = append(p.files, name)
	}
	return p
}

// find is the one file with these ends.
func (p published) find(t *testing.T, suffix string) string {
	t.Helper()
	i := slices.IndexFunc(p.files, func(name string) bool { return strings.HasSuffix(name, suffix) })
	if i < 0 {
		t.Fatalf("no %s in %q", suffix, p.files)
	}
	return filepath.Join(p.dir, p.files[i])
}

// unpack puts the files of an archive below dir, and lists them.
func unpack(t *testing.T, archive, dir string) []string {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for packed := tar.NewReader(plain); ; {
		header, err := packed.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/") // of the one folder
		path := filepath.Join(dir, name)
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			var data []byte
			if data, err = io.ReadAll(packed); err == nil {
				err = os.WriteFile(path, data, header.FileInfo().Mode().Perm())
			}
			names = append(names, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReleaseIsWholeAndItsBinaryStartsWhereThereIsOnlyPython(t *testing.T) {
	t.Parallel()
	p := publish(t)
	dir := t.TempDir()
	names := unpack(t, p.find(t, "_linux_"+runtime.GOARCH+".tar.gz"), dir)
	for _, name := range []string{
		"distro", "LICENSE", "THIRD-PARTY-NOTICES.txt", "README.md", "CHANGELOG.md", "config.cfg", "docs/install.md", "docs/configuration.md",
		"completion/distro.bash", "completion/distro.zsh", "completion/distro.fish", "completion/distro.powershell",
		"examples/automations/hello_world.py", "systemd/distro.service", "systemd/distro-worker@.service",
	} {
		if !slices.Contains(names, name) {
			t.Errorf("the archive has no %s", name)
		}
	}
	if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "__pycache__") }) {
		t.Errorf("the archive has more than it should: %q", names)
	}
	for _, module := range []string{"modernc.org/sqlite", "github.com/redis/rueidis", "Go: LICENSE"} {
		if !strings.Contains(read(t, dir, "THIRD-PARTY-NOTICES.txt"), "==== "+module) {
			t.Errorf("no license of %s", module)
		}
	}
	checkPackage(t, p)
	startBare(t, dir)
}

// checkPackage reads the package for Debian with Debian's own tool.
func checkPackage(t *testing.T, p published) {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Log("no dpkg-deb: the package for Debian is not looked at")
		return
	}
	deb := p.find(t, ".deb")
	tool := func(args ...string) string {
		text, err := exec.CommandContext(t.Context(), "dpkg-deb", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("dpkg-deb %q: %v\n%s", args, err, text)
		}
		return string(text)
	}
	if depends := tool("--field", deb, "Depends"); !strings.HasPrefix(depends, "python3 (>= 3.9)") {
		t.Errorf("it depends on %s", depends)
	}
	contents := tool("--contents", deb)
	for _, path := range []string{
		"-rwxr-xr-x root/root .* ./usr/bin/distro", "-rw-r----- root/root .* ./etc/distro/config.cfg",
		"./usr/share/bash-completion/completions/distro", "./usr/share/zsh/vendor-completions/_distro",
		"./usr/lib/systemd/system/distro-worker@.service", "./var/lib/distro/automations/", "./usr/share/doc/distro/copyright",
	} {
		if begin, end, _ := strings.Cut(path, " .* "); !strings.Contains(contents, begin) || !strings.Contains(contents, end) {
			t.Errorf("%s is missing in\n%s", path, contents)
		}
	}
	dir := t.TempDir()
	tool("--extract", deb, dir)
	tool("--control", deb, filepath.Join(dir, "DEBIAN"))
	text, err := exec.CommandContext(t.Context(), "distro", "doctor", "--json", "--config", filepath.Join(dir, "etc/distro/config.cfg"),
		"--modules", filepath.Join(dir, "var/lib/distro/automations"), "--data", dir+"/data", "--listen", "127.0.0.1:0", "--dashboard", "127.0.0.1:0").CombinedOutput()
	if err != nil {
		t.Errorf("doctor says of its settings: %v\n%s", err, text)
	}
}

// bareRoot is a folder with Python, the libraries it is linked with, and nothing
// else: no shell, no users, no zones, no certificates.
func bareRoot(t *testing.T) string {
	t.Helper()
	const python = "/usr/bin/python3"
	where := exec.CommandContext(t.Context(), python, "-c", "import os, sys; print(os.path.realpath(sys.executable)); print(os.path.dirname(os.__file__))")
	text, err := where.Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(path string) {
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, path), data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	interpreter, library, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	put(interpreter)
	if err := os.Symlink(interpreter, filepath.Join(dir, python)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, library), slim{os.DirFS(library)}); err != nil {
		t.Fatal(err)
	}
	linked, err := filepath.Glob(library + "/lib-dynload/*.so")
	if err != nil {
		t.Fatal(err)
	}
	text, err = exec.CommandContext(t.Context(), "ldd", append(linked, interpreter)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, ":") {
			if _, err := os.Stat(filepath.Join(dir, word)); err != nil {
				put(word)
			}
		}
	}
	for _, folder := range []string{"proc", "dev", "data", "automations"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// startBare starts the binary in a root that has only Python, and runs a job.
func startBare(t *testing.T, unpacked string) {
	t.Helper()
	dir := bareRoot(t)
	for from, to := range map[string]string{"distro": "distro", "examples/automations/hello_world.py": "automations/hello_world.py"} {
		data, err := os.ReadFile(filepath.Join(unpacked, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := newServer(t, "", nil)
	// Without root a user namespace stands in for it.
	namespace := []string{"unshare", "--mount", "--pid", "--fork", "--kill-child"}
	if os.Geteuid() != 0 {
		namespace = append(namespace, "--map-root-user")
	}
	const enter = `mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" /distro "$@"`
	cmd := exec.Command(namespace[0], append(namespace[1:], "sh", "-c", enter, dir, "up", "--modules", "/automations", "--data", "/data",
		"--listen", strings.TrimPrefix(s.url, "http://"), "--dashboard", strings.TrimPrefix(s.pages, "http://"), "--workers", "1")...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	began := time.Now()
	s.serves("it", s.spawn(cmd), "/readyz") // what it forks goes with it
	ready := time.Since(began)
	if job := s.ended(s.enqueue("hello_world.send_hello_world", "", "")); job.Status != "finished" {
		t.Errorf("the job ended %s: %+v", job.Status, job.Failure)
	}
	info, err := os.Stat(filepath.Join(dir, "distro"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("linux/%s: %.1f MB, ready %v after its start with nothing but Python", runtime.GOARCH, float64(info.Size())/1e6, ready.Round(time.Millisecond))
}

// slim is a standard library without its tests and without compiled code.
type slim struct{ fs.FS }

func (s slim) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() == "test" || e.Name() == "__pycache__" || e.Name() == "dist-packages" || e.Type()&fs.ModeSymlink != 0
	}), err
}
