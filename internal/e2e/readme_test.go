package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/redistest"
)

// blocks are the fenced commands of a document, in order.
func blocks(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	return found
}

// TestTheReadmesCommandsWorkAsWritten runs every fenced command of both, in their
// order, in a folder that has what they name: but on free ports, on a Redis of the
// test's, and with "make run" done by the harness, which serves the same folder.
func TestTheReadmesCommandsWorkAsWritten(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.pt-BR.md"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t, redistest.Options{})
			s := newServer(t, "", nil)
			folder := filepath.Join(s.dir, "repository")
			modules := filepath.Join(folder, "examples", "automations")
			if err := os.CopyFS(modules, os.DirFS(filepath.Join("..", "..", "examples", "automations"))); err != nil {
				t.Fatal(err)
			}
			s.args = []string{"--modules", modules}
			s.start()
			distro, err := exec.LookPath("distro")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(folder, "bin"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(distro, filepath.Join(folder, "bin", "distro")); err != nil {
				t.Fatal(err)
			}
			place := strings.NewReplacer(
				"http://127.0.0.1:7000", s.url, "redis://127.0.0.1:6379/1", redis.URL(),
				"bin/distro enqueue", "bin/distro enqueue --server "+s.url, "curl ", "curl -sS --fail-with-body ",
			)
			ran := 0
			for _, block := range blocks(t, name) {
				if strings.HasPrefix(block, "make run") {
					continue // as it says above
				}
				cmd := exec.CommandContext(t.Context(), "sh", "-eu")
				cmd.Dir, cmd.Stdin = folder, strings.NewReader(place.Replace(block))
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v:\n%s\nsays: %s", err, block, out)
				}
				ran++
			}
			if ran < 4 {
				t.Errorf("only %d commands were found", ran)
			}
		})
	}
}

// TestLinksOfTheDocumentsLeadSomewhere: to files of the repository.
func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "examples/automations/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	link := regexp.MustCompile(`\]\(([^)\s#]+)(?:#[^)]*)?\)`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s leads to %s: %v", name, m[1], err)
			}
		}
	}
}
