package python

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

const (
	oldestMinor  = 9 // of Python 3
	probeTimeout = 20 * time.Second
)

// Interpreter is a Python that was run once and is new enough.
type Interpreter struct {
	Path       string   // to start it: absolute; a virtual environment's own python, its symlink kept
	Version    string   // like "3.11.7"
	Executable string   // what it says itself (sys.executable): Path, or what the launcher at Path starts
	Platform   string   // sys.platform
	Virtual    bool     // it is that of a virtual environment
	Stdlib     []string // top-level module names of its standard library, sorted
}

// InStdlib reports whether the standard library has a top-level module of this
// name.
func (i Interpreter) InStdlib(name string) bool {
	_, found := slices.BinarySearch(i.Stdlib, name)
	return found
}

// InterpreterOptions say where FindInterpreter looks.
type InterpreterOptions struct {
	Setting    string // path or name of an interpreter, or folder of a virtual environment; "" or "auto": look for one
	ModulesDir string // its .venv or venv is taken by "auto"; empty: none
	VirtualEnv string // value of $VIRTUAL_ENV, taken first by "auto"; empty: none
}

// FindInterpreter chooses an interpreter and runs it once. "auto" takes the
// first there is of VirtualEnv, .venv and venv of ModulesDir, and python3 on
// PATH (python, then py, on Windows). A virtual environment that is there but
// broken is an error and not passed over: its packages would be missed later.
// Errors are of distro.CodeInvalid and say in one line what to do.
func FindInterpreter(ctx context.Context, o InterpreterOptions) (Interpreter, error) {
	if o.Setting != "" && o.Setting != "auto" {
		path, err := namedInterpreter(o.Setting)
		if err != nil {
			return Interpreter{}, err
		}
		return probe(ctx, path)
	}
	for _, folder := range virtualEnvironments(o) {
		path, err := filepath.Abs(filepath.Join(folder, environmentPython))
		if err != nil {
			return Interpreter{}, fmt.Errorf("locate python of %q: %w", folder, err)
		}
		if _, err := os.Lstat(path); err == nil {
			found, err := probe(ctx, path)
			found.Virtual = true
			return found, err
		}
	}
	return interpreterOnPath(ctx)
}

// namedInterpreter is the absolute path of what the setting names.
func namedInterpreter(setting string) (string, error) {
	if info, err := os.Stat(setting); err == nil && info.IsDir() {
		setting = filepath.Join(setting, environmentPython)
	}
	path, err := exec.LookPath(setting)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", &distro.Error{Code: distro.CodeInvalid, Field: "python", Err: err,
			Message: fmt.Sprintf("there is no interpreter %q: set python to the path of a Python 3.%d or newer, or to auto", setting, oldestMinor)}
	}
	return path, nil
}

func virtualEnvironments(o InterpreterOptions) []string {
	var folders []string
	if o.VirtualEnv != "" {
		folders = append(folders, o.VirtualEnv)
	}
	if o.ModulesDir != "" {
		folders = append(folders, filepath.Join(o.ModulesDir, ".venv"), filepath.Join(o.ModulesDir, "venv"))
	}
	return folders
}

// interpreterOnPath takes the first name that runs: on Windows "python" may be
// a stub that only points to a shop.
func interpreterOnPath(ctx context.Context) (Interpreter, error) {
	var err error = distro.Invalid("python",
		"no Python was found: install Python 3.%d or newer, or set python to the path of an interpreter", oldestMinor)
	for i, name := range interpreterNames() {
		path, lookErr := exec.LookPath(name)
		if lookErr != nil {
			continue
		}
		found, probeErr := probe(ctx, path)
		if probeErr == nil {
			return found, nil
		}
		if i == 0 {
			err = probeErr
		}
	}
	return Interpreter{}, err
}

// probeProgram prints what an Interpreter holds, one item per line. It runs on
// every Python there is, as the refusal of an old one has to name its version.
// Python 3.9 does not know the names of its standard library; there they are
// what is built in and what lies in the library's folders, without the tests.
const probeProgram = `
import sys
sys.path[:1] = []
print("distro-probe")
print("%d.%d.%d" % sys.version_info[:3])
print(sys.executable or "")
print(sys.platform)
names = set(getattr(sys, "stdlib_module_names", ()))
if not names and sys.version_info >= (3, 9):
    import os
    names.update(sys.builtin_module_names)
    library = os.path.dirname(os.__file__)
    for folder in (library, os.path.join(library, "lib-dynload"), os.path.join(sys.base_prefix, "DLLs")):
        if os.path.isdir(folder):
            names.update(entry.split(".")[0] for entry in os.listdir(folder))
    names = set(n for n in names if n.isidentifier() and n != "test" and not n.startswith(("__py", "_test", "_xx", "xx")))
for name in sorted(names):
    print(name)
`

// probe runs the interpreter at path without its site packages, whose start-up
// code may print or do anything.
func probe(ctx context.Context, path string) (Interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	stdout, stderr := headBuffer{limit: 1 << 20}, headBuffer{limit: 4 << 10}
	cmd := exec.CommandContext(ctx, path, "-E", "-S", "-c", probeProgram)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	// A Windows Python ends its lines with a carriage return.
	lines := strings.Split(strings.ReplaceAll(stdout.String(), "\r", ""), "\n")
	if err == nil && (len(lines) < 5 || lines[0] != "distro-probe") {
		err = errors.New("it does not answer as Python does")
	}
	if said := lastLine(stderr.String()); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	if err != nil {
		return Interpreter{}, &distro.Error{Code: distro.CodeInvalid, Field: "python", Err: err,
			Message: fmt.Sprintf("%s does not run: make its virtual environment anew, or set python to another interpreter", path)}
	}
	found := Interpreter{Path: path, Version: lines[1], Executable: lines[2], Platform: lines[3]}
	if !newEnough(found.Version) {
		return Interpreter{}, distro.Invalid("python",
			"%s is Python %s, and Distro needs 3.%d or newer: set python to a newer interpreter", path, found.Version, oldestMinor)
	}
	if found.Executable == "" {
		found.Executable = path
	}
	if isLauncher(path) {
		found.Path = found.Executable
	}
	found.Virtual = inEnvironment(found.Path)
	found.Stdlib = slices.DeleteFunc(lines[4:], func(name string) bool { return name == "" })
	slices.Sort(found.Stdlib)
	return found, nil
}

// inEnvironment reports whether an interpreter lies where a virtual environment
// has its own: Python itself looks for this file there.
func inEnvironment(path string) bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(filepath.Dir(path)), "pyvenv.cfg"))
	return err == nil
}

func newEnough(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d.", &major, &minor); err != nil {
		return false
	}
	return major > 3 || major == 3 && minor >= oldestMinor
}

// headBuffer keeps the first limit bytes written to it and drops the rest.
type headBuffer struct {
	bytes.Buffer
	limit int
}

func (b *headBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.limit-b.Len())])
	return len(p), nil
}

// lastLine is the line of what an interpreter wrote to stderr that names the
// error.
func lastLine(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
