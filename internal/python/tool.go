package python

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/distro-orchestrator/distro"
)

// The kinds of tool.
const (
	toolUV  = "uv"
	toolPip = "pip"
)

// tool makes environments and installs into them.
type tool struct {
	kind string // toolUV or toolPip
	path string // of uv
}

// findTool takes uv where PATH of environ has it, and else venv and pip of the
// interpreter, which some systems package apart.
func findTool(ctx context.Context, base Interpreter, environ []string) (tool, error) {
	for _, dir := range filepath.SplitList(variable(environ, "PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, toolUV)); err == nil {
			return tool{kind: toolUV, path: path}, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, base.Executable, "-I", "-c", "import venv, ensurepip")
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return tool{}, distro.Errorf(distro.CodeUnavailable, "%s has no venv with pip, and there is no uv on PATH: install uv, or python3-venv as your system names it", base.Executable)
	}
	return tool{kind: toolPip}, nil
}

// variable is the value that a process takes of an environment: the last one.
// Where no name is written so, the case does not count, as on Windows.
func variable(environ []string, name string) string {
	other := ""
	for _, entry := range slices.Backward(environ) {
		found, value, _ := strings.Cut(entry, "=")
		if found == name {
			return value
		}
		if other == "" && strings.EqualFold(found, name) {
			other = value
		}
	}
	return other
}

// String names the tool for people.
func (t tool) String() string {
	if t.kind == toolPip {
		return "venv and pip"
	}
	return t.kind
}

// commands make the environment at home and install requirements.txt of the
// working directory. Python's -I keeps the modules there from standing in for
// those of pip.
func (t tool) commands(base Interpreter, home string) [][]string {
	into := filepath.Join(home, environmentPython)
	if t.kind == toolUV {
		return [][]string{
			{t.path, "venv", "--python", base.Executable, home},
			{t.path, "pip", "install", "--python", into, "-r", requirementsFile},
		}
	}
	return [][]string{
		{base.Executable, "-I", "-m", "venv", home},
		{into, "-I", "-m", "pip", "install", "--progress-bar", "off", "-r", requirementsFile},
	}
}

// workshop is where tools run.
type workshop struct {
	environ []string
}

// newWorkshop prepares the environment of the tools: the user's, so that his
// indexes and proxies count, without the names of Distro and without what would
// install elsewhere. The mark of the state directory lets EndLeftovers find
// them.
func newWorkshop(environ []string, stateDir string) workshop {
	elsewhere := []string{"VIRTUAL_ENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "UV_SYSTEM_PYTHON"}
	env := slices.DeleteFunc(markedEnviron(environ, stateDir), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(elsewhere, strings.ToUpper(name))
	})
	return workshop{environ: append(env,
		"PIP_NO_INPUT=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_COLOR=1", "NO_COLOR=1", "PYTHONUNBUFFERED=1", "PYTHONIOENCODING=utf-8",
		"UV_NO_PROGRESS=1", "UV_COMPILE_BYTECODE=1", "UV_PYTHON_DOWNLOADS=never",
	)}
}

// outputEnds is how long something that a tool left running may hold its output
// open.
const outputEnds = 5 * time.Second

// run runs a command to its end, or kills it with what it started when ctx
// ends. The error has what it said last.
func (w workshop) run(ctx context.Context, dir string, command []string, log *toolLog) error {
	log.say("$ %s", strings.Join(command, " "))
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // ctx kills its group
	cmd.Dir, cmd.Env = dir, w.environ
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = outputEnds
	runtime.LockOSThread() // startTool asks for it
	defer runtime.UnlockOSThread()
	group, err := startTool(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	stop := context.AfterFunc(ctx, func() { group.signal(syscall.SIGKILL) })
	err = cmd.Wait()
	stop()
	group.end()
	log.flush()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("run %s: %w", describeCommand(command), context.Cause(ctx))
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return fmt.Errorf("run %s: %w: %s", describeCommand(command), err, log.said())
	}
	return nil
}

// describeCommand is a command without the paths in it.
func describeCommand(command []string) string {
	words := []string{filepath.Base(command[0])}
	for _, word := range command[1:] {
		if !filepath.IsAbs(word) && word != "-I" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

const (
	maxToolLog  = 8 << 20 // bytes of a log
	maxToolLine = 4 << 10 // bytes of a line in it
	keptLines   = 20
	maxSaid     = 500 // bytes of an error
)

var (
	// credentials are what stands before the host in a URL.
	credentials = regexp.MustCompile(`(://)[^/\s@]+@`)
	// complaint is how pip and uv begin the line that says what is wrong.
	complaint = regexp.MustCompile(`^(?i:error)\b`)
)

// toolLog takes what tools print into a file, line by line, without the
// passwords of URLs, and keeps the last lines for the error.
type toolLog struct {
	mu      sync.Mutex
	file    *os.File
	size    int
	partial []byte
	last    []string
}

func newToolLog(path string) (*toolLog, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace the log of an environment: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the log of an environment: %w", err)
	}
	return &toolLog{file: file}, nil
}

// Write never fails: a tool works on when its log cannot be kept.
func (l *toolLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := p
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n')
		piece := rest
		if end >= 0 {
			piece = rest[:end]
		}
		room := max(maxToolLine-len(l.partial), 0)
		l.partial = append(l.partial, piece[:min(len(piece), room)]...)
		if end < 0 {
			break
		}
		l.line()
		rest = rest[end+1:]
	}
	return len(p), nil
}

func (l *toolLog) say(format string, args ...any) {
	l.flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = nil
	l.partial = fmt.Appendf(nil, format, args...)
	l.line()
	l.last = nil
}

// flush ends a line that was begun.
func (l *toolLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.line()
	}
}

// line keeps the line that is complete. The lock is held.
func (l *toolLog) line() {
	text := credentials.ReplaceAllString(strings.ToValidUTF8(string(l.partial), "\uFFFD"), "${1}***@")
	text = strings.TrimRight(text, "\r \t")
	l.partial = l.partial[:0]
	if l.size < maxToolLog {
		n, _ := fmt.Fprintln(l.file, text)
		l.size += n
	}
	if strings.TrimSpace(text) == "" {
		return
	}
	l.last = append(l.last, text)
	if len(l.last) > keptLines {
		l.last = l.last[1:]
	}
}

// said is what explains best why a command did not end well: the last line
// that calls itself an error, else the last ones there are.
func (l *toolLog) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := "it printed nothing"
	if n := len(l.last); n > 0 {
		text = strings.Join(l.last[max(n-3, 0):], " ")
	}
	for _, line := range slices.Backward(l.last) {
		if complaint.MatchString(line) {
			text = line
			break
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "") + " …"
	}
	return text
}

func (l *toolLog) close() { l.file.Close() }
