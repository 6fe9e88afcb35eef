package python_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

// modulesBundle is a catalog of a folder of its own.
type modulesBundle struct {
	*python.Catalog
	t   testing.TB
	dir string
}

func newModules(t testing.TB, change func(*python.CatalogOptions)) modulesBundle {
	t.Helper()
	opts := python.CatalogOptions{Interpreter: findPython(t), Dir: t.TempDir()}
	if change != nil {
		change(&opts)
	}
	catalog, err := python.NewCatalog(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := catalog.Close(); err != nil {
			t.Error(err)
		}
	})
	return modulesBundle{catalog, t, opts.Dir}
}

// write makes a file, and its folders, and returns its path.
func (b modulesBundle) write(name, source string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b modulesBundle) link(target, name string) {
	b.t.Helper()
	if err := os.Symlink(target, filepath.Join(b.dir, name)); err != nil {
		b.t.Fatal(err)
	}
}

// lists checks the names of all modules, and that each is found by its name.
func (b modulesBundle) lists(want ...string) {
	b.t.Helper()
	names, err := b.Modules(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		b.t.Errorf("modules (-want +got):\n%s", diff)
	}
	for _, name := range names {
		if _, err := b.Module(b.t.Context(), name); err != nil {
			b.t.Errorf("module %q is listed and not found: %v", name, err)
		}
	}
}

// hides checks that no module is found by these names.
func (b modulesBundle) hides(names ...string) {
	b.t.Helper()
	for _, name := range names {
		if _, err := b.Module(b.t.Context(), name); distro.ErrorCode(err) != distro.CodeNotFound {
			b.t.Errorf("Module(%q): %v, want not found", name, err)
		}
	}
}

func TestModulesAreTheImportableFilesOfTheFolder(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	for _, name := range []string{
		"hello_world.py", "b.py", "broken.py", "_private.py", "relatório.py", "pkg/__init__.py", "pkg/inner.py", "bare/deep/er.py",
		"pkg.py", "match.py", "json.py", "Upper.py",
		"__init__.py", "__main__.py", ".hidden.py", "with-dash.py", "1st.py", "two words.py", "class.py", "None.py", "a.b.py",
		"notes.txt", "data.csv", "x.PY", "y.pyc", "z.pyw", ".py",
		"__pycache__/c.py", "node_modules/n.py", "pkg/node_modules/n.py", "site-packages/s.py", ".git/g.py", "not-a-name/n.py", "for/f.py",
		"env/pyvenv.cfg", "env/e.py", "env/lib/l.py", "bad\xff.py",
	} {
		b.write(name, "def f(: nothing here is ever imported or even parsed")
	}
	if err := os.Mkdir(filepath.Join(b.dir, "folder.py"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.lists("Upper", "_private", "b", "bare.deep.er", "broken", "hello_world", "json", "match", "pkg", "pkg.inner", "relatório")
	b.hides("os", "", ".", "..", "pkg.", ".pkg", "pkg..inner", "../x", "a/b", `a\b`, "/etc/passwd", "hello_world.py", "__init__", "__main__",
		"pkg.__init__", "upper", "UPPER", "hidden", ".hidden", "with-dash", "1st", "class", "env.e", "node_modules.n", "__pycache__.c", "folder",
		"for.f", "x", "b\x00", "bad\xff", strings.Repeat("a", 1<<20), strings.Repeat("pkg.", 1<<16)+"inner")
}

func TestLinksCountWhenTheyStayInTheFolder(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret.py"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.write("report.py", "def build(): pass")
	b.write("pkg/inner.py", "")
	b.write("pkg/site-packages/lib.py", "")
	b.link("report.py", "relative.py")
	b.link(filepath.Join(b.dir, "report.py"), "absolute.py")
	b.link("../report.py", "pkg/up.py")
	b.link("pkg", "alias")
	b.link(filepath.Join(outside, "secret.py"), "stolen.py")
	b.link(outside, "stolen")
	b.link("../../../../../../../../../../etc", "etc")
	b.link("pkg/site-packages", "vendored")
	b.link("nowhere.py", "dangling.py")
	b.link("itself.py", "itself.py")
	b.lists("absolute", "alias.inner", "alias.up", "pkg.inner", "pkg.up", "relative", "report")
	b.hides("stolen", "stolen.secret", "vendored.lib", "dangling", "itself")
}

func TestAFolderBehindALinkIsReadAsTheLinkStands(t *testing.T) {
	t.Parallel()
	releases := t.TempDir()
	current := filepath.Join(releases, "current")
	for _, release := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(releases, release), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(releases, release, "job.py"), []byte("def "+release+"(): pass"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one", current); err != nil {
		t.Fatal(err)
	}
	b := newModules(t, func(o *python.CatalogOptions) { o.Dir = current })
	b.link("job.py", "alias.py")
	b.defines("job", "one")
	b.defines("alias", "one")
	if err := os.Symlink("two", current+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(current+".new", current); err != nil {
		t.Fatal(err)
	}
	b.defines("job", "two")
	b.hides("alias")
}

func TestLinksInACircleEnd(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("a/x.py", "")
	b.write("b/y.py", "")
	b.link(".", "self")
	b.link("..", "a/up")
	b.link("../b", "a/b")
	b.link("../a", "b/a")
	b.lists("a.b.y", "a.x", "b.a.x", "b.y")
}

func TestFoldersAreEnteredToABound(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	const tooDeep = 40
	for depth := range tooDeep {
		b.write(strings.Repeat("d/", depth)+"m.py", "")
	}
	names, err := b.Modules(t.Context())
	if err != nil || len(names) != 32 {
		t.Errorf("%d modules, %v", len(names), err)
	}
	b.hides(strings.Repeat("d.", tooDeep-1) + "m")
}

func TestPipesAndUnreadableFoldersAreLeftOut(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("job.py", "")
	b.write("locked/job.py", "")
	if err := os.Chmod(filepath.Join(b.dir, "locked"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(b.dir, "locked"), 0o755) })
	if err := exec.CommandContext(t.Context(), "mkfifo", filepath.Join(b.dir, "pipe.py")).Run(); err != nil {
		t.Fatal(err)
	}
	b.hides("pipe")
	if os.Geteuid() == 0 { // nothing is locked to root
		b.lists("job", "locked.job")
	} else {
		b.lists("job")
	}
}

func TestAFolderThatIsGoneIsSaid(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("job.py", "")
	b.lists("job")
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Modules": func() error { _, err := b.Modules(t.Context()); return err },
		"All":     func() error { _, err := b.All(t.Context()); return err },
		"Module":  func() error { _, err := b.Module(t.Context(), "job"); return err },
		"New": func() error {
			_, err := python.NewCatalog(python.CatalogOptions{Dir: b.dir})
			return err
		},
	} {
		if err := call(); distro.ErrorCode(err) != distro.CodeUnavailable || !strings.Contains(err.Error(), "modules_path") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkListModules lists 2,000 modules in 20 folders.
func BenchmarkListModules(b *testing.B) {
	modules := newModules(b, nil)
	for i := range 2000 {
		modules.write(fmt.Sprintf("pkg%02d/job%d.py", i%20, i), "")
	}
	for b.Loop() {
		if names, err := modules.Modules(b.Context()); err != nil || len(names) != 2000 {
			b.Fatalf("%d modules, %v", len(names), err)
		}
	}
}
