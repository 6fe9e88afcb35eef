package python_test

import (
	"fmt"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

const restless = `
import io, os, signal, subprocess, sys, threading, time

def disturb():
    os.chdir("/")
    os.environ["LEFT"] = "over"
    os.environ.pop("HOME", None)
    os.umask(0o777)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    sys.path.insert(0, "/nowhere")
    sys.argv.append("left")
    sys.stdout = io.StringIO()
    sys.modules["__main__"].left = 1
    with open(os.path.join(os.environ["TMPDIR"], "left"), "w"):
        pass

def state():
    umask = os.umask(0)
    os.umask(umask)
    return [
        os.getcwd(), os.environ.get("LEFT"), "HOME" in os.environ, umask,
        signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "/nowhere" in sys.path, sys.argv, sys.stdout is sys.__stdout__,
        hasattr(sys.modules["__main__"], "left"), os.listdir(os.environ["TMPDIR"]),
    ]

def pid():
    return os.getpid()

def thread():
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return os.getpid()

def child():
    subprocess.Popen(["sleep", "600"])
    return os.getpid()

kept = []

def grow():
    kept.append(b"x" * (60 << 20))
    return os.getpid()

def fail():
    raise ValueError("no")
`

func poolOfOne(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, func(o *python.Options) { o.Isolation, o.Slots = python.Pool, 1 })
	b.write("r.py", restless)
	return b
}

// pid runs a function that returns the pid of its process. There is one process
// more than there are slots, and they take turns.
func (b *bundle) pid(function string) string {
	b.t.Helper()
	r, _ := b.run("r."+function, "")
	if r.Outcome != distro.OutcomeFinished {
		b.t.Fatalf("%s: %+v", function, r.Failure)
	}
	return r.View.Text
}

func TestAPooledProcessIsAsItWasForTheNextJob(t *testing.T) {
	t.Parallel()
	b := poolOfOne(t)
	before, _ := b.run("r.state", "")
	for range 3 { // each process of the pool at least once
		if r, _ := b.run("r.disturb", ""); r.Outcome != distro.OutcomeFinished {
			t.Fatalf("%+v", r.Failure)
		}
	}
	for range 3 {
		if after, _ := b.run("r.state", ""); after.View.Text != before.View.Text {
			t.Errorf("before %s\nafter  %s", before.View.Text, after.View.Text)
		}
	}
}

func TestAPooledProcessServesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	b := poolOfOne(t)
	pids := map[string]bool{b.pid("pid"): true, b.pid("pid"): true}
	for range 4 {
		if r, _ := b.run("r.fail", ""); r.Failure == nil || r.Failure.Type != "ValueError" {
			t.Fatalf("%+v", r)
		}
		if pid := b.pid("pid"); !pids[pid] {
			t.Errorf("process %s is none of %v", pid, pids)
		}
	}
}

func TestAPooledProcessIsReplacedWhenItCannotBeRestored(t *testing.T) {
	t.Parallel()
	b := poolOfOne(t)
	for _, function := range []string{"thread", "child", "grow"} {
		worn := b.pid(function)
		for range 4 {
			if pid := b.pid("pid"); pid == worn {
				t.Errorf("%s: process %s served on", function, pid)
			}
		}
	}
}

func TestAPooledProcessIsReplacedAfterAThousandJobs(t *testing.T) {
	t.Parallel()
	b := poolOfOne(t)
	served := map[string]int{}
	for range 2100 {
		served[b.pid("pid")]++
	}
	if len(served) < 3 {
		t.Errorf("%d processes served 2,100 jobs", len(served))
	}
	for pid, n := range served {
		if n > 1000 {
			t.Errorf("process %s served %d jobs", pid, n)
		}
	}
}

func TestOutputOfPooledJobsIsKeptApart(t *testing.T) {
	t.Parallel()
	b := poolOfOne(t)
	b.write("p.py", "import os\ndef f(n):\n    print('line', n)\n    os.write(2, b'error %d' % n)\n")
	for n := range 50 {
		_, out := b.run("p.f", fmt.Sprintf("[%d], {}", n))
		if got := out.out.String() + out.err.String(); got != fmt.Sprintf("line %d\nerror %d", n, n) {
			t.Fatalf("job %d printed %q", n, got)
		}
	}
}
