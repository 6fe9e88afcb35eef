package redistest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro/internal/proctest"
)

// Stock is the RQ that the system packages, or that a Python on PATH has.
type Stock struct {
	python string
	path   []string
}

// FindStock finds a Python that has RQ: the system's, then the one on PATH.
func FindStock(t proctest.TB) *Stock {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		python, err := exec.LookPath(name)
		if err == nil && exec.CommandContext(t.Context(), python, "-c", "import rq").Run() == nil {
			return &Stock{python: python}
		}
	}
	t.Fatalf("no python3 has rq: apt-get install python3-rq")
	return nil
}

// Python is the path of the interpreter.
func (s *Stock) Python() string { return s.python }

// WithPath is the same RQ where Python also imports from some folders.
func (s *Stock) WithPath(dirs ...string) *Stock {
	return &Stock{python: s.python, path: append(slices.Clone(s.path), dirs...)}
}

func (s *Stock) command(url string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.python, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "RQ_") || strings.HasPrefix(entry, "PYTHON")
	})
	cmd.Env = append(cmd.Env, "REDIS_URL="+url, "RQ_REDIS_URL="+url, "LC_ALL=C.UTF-8",
		"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+strings.Join(s.path, string(filepath.ListSeparator)))
	return cmd
}

// Run runs a script, which finds the URL in REDIS_URL, and returns what it
// printed. Its failure is the test's.
func (s *Stock) Run(t proctest.TB, url, script string, args ...string) string {
	t.Helper()
	return run(t, s.command(url, append([]string{"-c", script}, args...)...))
}

func run(t proctest.TB, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	p := proctest.Start(t, cmd)
	if err := p.Wait(t.Context()); err != nil {
		p.Kill() // before its output is read
		t.Fatalf("stock RQ: %v\n%s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// WorkerOptions say what a stock worker serves.
type WorkerOptions struct {
	URL    string
	Queues []string // default
	Dir    string   // where it is started and imports from
	Args   []string // further flags, before the queues
}

// Worker starts `rq worker`. It serves once it has written "Listening on".
func (s *Stock) Worker(t proctest.TB, options WorkerOptions) *proctest.Process {
	t.Helper()
	args := []string{"-m", "rq.cli", "worker"}
	if options.URL != "" {
		args = append(args, "--url", options.URL)
	}
	args = append(append(args, options.Args...), options.Queues...)
	from := s
	if options.Dir != "" {
		from = s.WithPath(options.Dir)
	}
	cmd := from.command(options.URL, args...)
	cmd.Dir = options.Dir
	return proctest.Start(t, cmd)
}

// Info is the answer of `rq info --raw`.
func (s *Stock) Info(t proctest.TB, url string, args ...string) string {
	t.Helper()
	return run(t, s.command(url, append([]string{"-m", "rq.cli", "info", "--raw", "--url", url}, args...)...))
}
