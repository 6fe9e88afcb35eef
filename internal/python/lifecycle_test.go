package python_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

func TestJobsGoOnAfterTheZygoteDied(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.write("z.py", "import os, time\ndef parent():\n    return os.getppid()\ndef stay(path):\n    open(path, 'w').close()\n    time.sleep(600)\n")
	r, _ := b.run("z.parent", "")
	zygote, err := strconv.Atoi(r.View.Text)
	if err != nil {
		t.Fatalf("%q: %v, %+v", r.View.Text, err, r.Failure)
	}
	ready := filepath.Join(b.dir, "ready")
	a := b.start("z.stay", fmt.Sprintf("[%q], {}", ready), time.Minute, func(bool, []byte) {})
	waitForFile(t, ready)
	if err := syscall.Kill(zygote, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-a.Done()
	if r := a.Result(); r.Outcome != distro.OutcomeLost {
		t.Errorf("outcome %q, %+v", r.Outcome, r.Failure)
	}
	if r, _ := b.run("z.parent", ""); r.Outcome != distro.OutcomeFinished || r.View.Text == strconv.Itoa(zygote) {
		t.Errorf("afterwards %q, %+v", r.View.Text, r.Failure)
	}
}

func TestStartUpCodeWithThreadsMeansSpawn(t *testing.T) {
	t.Parallel()
	site := t.TempDir()
	source := "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
	if err := os.WriteFile(filepath.Join(site, "sitecustomize.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(o *python.Options) { o.Environ = append(os.Environ(), "PYTHONPATH="+site) })
	b.write("t.py", "def f():\n    return 1\n")
	if r, _ := b.run("t.f", ""); r.View.Text != "1" {
		t.Errorf("%+v", r.Failure)
	}
	if got := b.runners.Isolation(); got != python.Spawn {
		t.Errorf("isolation %q", got)
	}
}

func TestTheFolderOfTheModulesIsAPackageToo(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.write("__init__.py", "")
	b.write("lib/__init__.py", "")
	b.write("lib/tool.py", "count = 0\n")
	b.write("job.py", `
import sys
import lib.tool
import m.lib.tool
from m.lib import tool

def f():
    return [lib.tool is m.lib.tool, tool is lib.tool, sys.modules["job"].f is f, __name__, len(sys.path) == len(set(sys.path))]
`)
	for _, name := range []string{"job.f", "m.job.f"} {
		r, _ := b.run(name, "")
		if want := `[true, true, true, "job", true]`; r.View.Text != want {
			t.Errorf("%s: %s, %+v", name, r.View.Text, r.Failure)
		}
	}
}

func TestCallsAreResolvedAsRQResolvesThem(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.write("pkg/inner.py", "import broken_dependency\n")
	b.write("pkg/good.py", "class C:\n    @staticmethod\n    def s(n):\n        return n + 1\n    @classmethod\n    def c(cls):\n        return cls.__name__\n")
	for _, c := range []struct{ function, args, view, failure string }{
		{"pkg.good.C.s", "[1], {}", "2", ""},
		{"pkg.good.C.c", "", `"C"`, ""},
		{"pkg.inner.f", "", "", "No module named 'broken_dependency'"},
		{"pkg.nothing.f", "", "", "No module named 'pkg.nothing'"},
		{"nothing.f", "", "", "No module named 'nothing'"},
		{"pkg.good.missing", "", "", "has no attribute 'missing'"},
		{"pkg.good.C.s", "[], {}", "", "missing 1 required positional argument"},
	} {
		r, _ := b.run(c.function, c.args)
		message := ""
		if r.Failure != nil {
			message = r.Failure.Message
		}
		if r.View.Text != c.view || !strings.Contains(message, c.failure) {
			t.Errorf("%s: view %q, failure %+v", c.function, r.View.Text, r.Failure)
		}
	}
}

func TestATracebackShowsTheUsersFramesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.write("e.py", "def inner():\n    raise KeyError('ção')\n\ndef outer():\n    try:\n        inner()\n    except KeyError as error:\n        raise ValueError('cannot go on') from error\n")
	r, _ := b.run("e.outer", "")
	path := filepath.Join(b.dir, "e.py")
	want := &distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "cannot go on", Traceback: fmt.Sprintf(`Traceback (most recent call last):
  File %[1]q, line 6, in outer
    inner()
  File %[1]q, line 2, in inner
    raise KeyError('ção')
KeyError: 'ção'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File %[1]q, line 8, in outer
    raise ValueError('cannot go on') from error
ValueError: cannot go on
`, path)}
	if diff := cmp.Diff(want, r.Failure); diff != "" {
		t.Error(diff)
	}
}

func TestFilesAJobLeavesAreKept(t *testing.T) {
	t.Parallel()
	var state string
	b := setup(t, func(o *python.Options) { state = o.StateDir })
	b.write("a.py", "import os\ndef f():\n    open(os.path.join(os.environ['DISTRO_ARTIFACTS'], 'report.txt'), 'w').write('kept')\n    open(os.path.join(os.environ['TMPDIR'], 'x'), 'w').close()\n")
	if r, _ := b.run("a.f", ""); r.Outcome != distro.OutcomeFinished {
		t.Fatalf("%+v", r.Failure)
	}
	if text, err := os.ReadFile(filepath.Join(state, "artifacts", "a1", "report.txt")); err != nil || string(text) != "kept" {
		t.Errorf("%q, %v", text, err)
	}
	left, err := filepath.Glob(filepath.Join(state, "tmp", "*", "tmp", "x"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

func TestFilesOfAJobThatWasEndedAreKept(t *testing.T) {
	t.Parallel()
	for _, isolation := range []python.Isolation{python.Fork, python.Pool, python.Spawn} {
		var state string
		b := setup(t, func(o *python.Options) { o.Isolation, state = isolation, o.StateDir })
		b.write("a.py", `import os, signal, time
def leave(name):
    with open(os.path.join(os.environ['DISTRO_ARTIFACTS'], name), 'w') as file:
        file.write('kept')
def stays():
    leave('shot.png')
    print('left', flush=True)
    time.sleep(600)
def exits():
    leave('shot.png')
    os._exit(3)
def swaps():
    os.rmdir(os.environ['DISTRO_ARTIFACTS'])
    os.symlink('/etc', os.environ['DISTRO_ARTIFACTS'])
    os._exit(3)
def fine():
    pass
`)
		left := make(chan struct{})
		seen := sync.OnceFunc(func() { close(left) }) // a line may come in parts
		a := b.start("a.stays", "", time.Minute, func(bool, []byte) { seen() })
		<-left
		a.Stop(distro.FailureStopped, 0)
		<-a.Done()
		if text, err := os.ReadFile(filepath.Join(state, "artifacts", "a1", "shot.png")); err != nil || string(text) != "kept" || !a.Kept() {
			t.Errorf("%s: stopped: %q, %v", isolation, text, err)
		}
		if r, _ := b.run("a.exits", ""); r.Failure == nil || r.Failure.ExitCode != 3 {
			t.Errorf("%s: %+v", isolation, r.Failure)
		}
		if _, err := os.Stat(filepath.Join(state, "artifacts", "a2", "shot.png")); err != nil {
			t.Errorf("%s: exited: %v", isolation, err)
		}
		b.run("a.swaps", "")
		b.run("a.fine", "")
		for _, name := range []string{"a3", "a4"} {
			if info, err := os.Lstat(filepath.Join(state, "artifacts", name)); err == nil {
				t.Errorf("%s: %s: %v", isolation, name, info.Mode())
			}
		}
		if _, err := os.Stat("/etc/passwd"); err != nil {
			t.Error(err)
		}
	}
}

func TestFilesThatNobodyIsToSeeAreDropped(t *testing.T) {
	t.Parallel()
	for _, isolation := range []python.Isolation{python.Fork, python.Pool} {
		var state string
		b := setup(t, func(o *python.Options) { o.Isolation, state = isolation, o.StateDir })
		b.write("a.py", "import os\ndef f(end=False):\n    before = os.listdir(os.environ['DISTRO_ARTIFACTS'])\n    open(os.path.join(os.environ['DISTRO_ARTIFACTS'], 'x'), 'w').close()\n    if end:\n        os._exit(1)\n    return before\n")
		for _, args := range []string{"[], {}", "[true], {}", "[], {}"} {
			a := begin(t, b.runners, python.Call{
				JobID: "j", Queue: "default", Worker: "w", Attempt: 1, Timeout: distro.Forever,
				Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["a.f", null, ` + args + `]`)},
			}, func(bool, []byte) {})
			<-a.Done()
			if r := a.Result(); a.Kept() || r.Outcome == distro.OutcomeFinished && r.View.Text != "[]" {
				t.Errorf("%s: %s: kept %t, %q, %+v", isolation, args, a.Kept(), r.View.Text, r.Failure)
			}
		}
		if kept, err := os.ReadDir(filepath.Join(state, "artifacts")); err != nil || len(kept) != 0 {
			t.Errorf("%s: %v, %v", isolation, kept, err)
		}
	}
}

func TestAPicklePayloadRuns(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.write("p.py", "def add(a, b):\n    return a + b\n")
	// pickle.dumps(("p.add", None, (2,), {"b": 3}), 0)
	payload := "(Vp.add\nN(I2\ntp0\n(dp1\nVb\nI3\nstp2\n."
	a := begin(t, b.runners, python.Call{
		JobID: "p", Queue: "default", Worker: "w", Attempt: 1, Timeout: distro.Forever, Artifacts: "p",
		Payload: distro.Payload{Serializer: distro.SerializerPickle, Data: []byte(payload)},
	}, func(bool, []byte) {})
	<-a.Done()
	if r := a.Result(); r.View.Text != "5" {
		t.Errorf("%q, %+v", r.View.Text, r.Failure)
	}
}
