package python_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

// hostile does what jobs must not get away with. The argument mark names a
// process to look for afterwards: see alive.
const hostile = `
import asyncio, ctypes, multiprocessing, os, signal, subprocess, sys, threading, time

def leave():
    os._exit(7)

def say_exit(code):
    sys.exit(code)

def crash():
    ctypes.string_at(0)

def eat():
    hog = []
    while True:
        hog.append(bytearray(16 << 20))

def mark(name):
    """Names this process, so that the test finds it."""
    with open("/proc/self/comm", "w") as file:
        file.write(name)

def daemon(name):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            mark(name)
            time.sleep(600)
        os._exit(0)
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    time.sleep(0.05)
    return "left a daemon"

def print_much(megabytes):
    line = "x" * 1023 + "\n"
    for _ in range(megabytes * 1024):
        sys.stdout.write(line)
    return "printed"

def close_all():
    os.closerange(0, 4096)

def deaf(name, ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    mark(name)
    with open(ready, "w"):
        pass
    while True:
        time.sleep(1)

def threads():
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(600,)).start()
    return threading.active_count()

def square(n):
    return n * n

def processes(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(square, [1, 2, 3])

def forgotten_process(name):
    def stay():
        mark(name)
        time.sleep(600)
    multiprocessing.get_context("fork").Process(target=stay).start()
    return True

async def coroutine():
    await asyncio.sleep(0.01)
    return "awaited"

def never(path):
    try:
        while True:
            time.sleep(1)
    finally:
        with open(path, "w") as file:
            file.write("cleaned")

def look(path):
    try:
        while True:
            os.path.exists("/")
    finally:
        with open(path, "w") as file:
            file.write("cleaned")

def stubborn():
    while True:
        try:
            while True:
                time.sleep(1)
        except BaseException:
            pass

def lock():
    import threading
    return threading.Lock()

class Odd(Exception):
    def __str__(self):
        raise ValueError("no text")

def odd():
    raise Odd()

def deep():
    def inner(n):
        return inner(n + 1)
    inner(0)

def echo(value):
    return value

def environment():
    return {
        "distro": sorted(k for k in os.environ if k.startswith("DISTRO_")),
        "fds": sorted(os.listdir("/proc/self/fd"))[:-1],
        "stdin": sys.stdin.read(),
        "cwd": os.getcwd(), "path": sys.path[0], "main": sorted(vars(sys.modules["__main__"])),
        "tmp": os.listdir(os.environ["TMPDIR"]), "encoding": sys.stdout.encoding, "secret": os.environ.get("DISTRO_AUTH_TOKEN"),
    }

def quiet():
    return 1
`

// alive lists the processes with this name, zombies left out.
func alive(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	entries, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range entries {
		stat, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(stat), "("+name+") ") && !strings.Contains(string(stat), "("+name+") Z") {
			found = append(found, path)
		}
	}
	return found
}

// gone waits two seconds at most until no process has this name.
func gone(t *testing.T, name string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for left := alive(t, name); len(left) != 0; left = alive(t, name) {
		if time.Now().After(deadline) {
			t.Errorf("still alive: %v", left)
			return
		}
		<-tick.C
	}
}

func TestHostileJobsEndAsTheyShouldAndLeaveNothing(t *testing.T) {
	t.Parallel()
	for _, isolation := range []python.Isolation{python.Fork, python.Pool, python.Spawn} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *python.Options) {
				o.Isolation = isolation
				o.MemoryLimit = 256 << 20
				o.Environ = append(os.Environ(), "DISTRO_AUTH_TOKEN=very-secret-token")
			})
			b.write("h.py", hostile)
			for _, c := range []struct {
				name, function, args string
				kind                 distro.FailureKind
				view, message        string
			}{
				{"a job that leaves by os._exit fails", "leave", "", distro.FailureExit, "", "exit code 7"},
				{"sys.exit fails the job as in RQ", "say_exit", "[3], {}", distro.FailureExit, "", "sys.exit(3)"},
				{"a crash is told by its signal", "crash", "", distro.FailureSignal, "", "signal 11"},
				{"a job over the memory limit is ended", "eat", "", distro.FailureMemory, "", "256 MB"},
				{"a job that closed every descriptor fails", "close_all", "", distro.FailureExit, "", "before the function returned"},
				{"threads that are left do not keep the job", "threads", "", "", "4", ""},
				{"multiprocessing by fork works", "processes", `["fork"], {}`, "", "[1, 4, 9]", ""},
				{"multiprocessing by spawn works", "processes", `["spawn"], {}`, "", "[1, 4, 9]", ""},
				{"a coroutine is awaited", "coroutine", "", "", `"awaited"`, ""},
				{"a result that cannot be pickled is shown", "lock", "", "", "<unlocked", ""},
				{"an exception without a text is reported", "odd", "", distro.FailureException, "", "not available"},
				{"endless recursion is reported", "deep", "", distro.FailureException, "", "recursion"},
				{"a missing function is reported", "nothing", "", distro.FailureException, "", "nothing"},
				{"the next job runs normally", "quiet", "", "", "1", ""},
			} {
				r, _ := b.run("h."+c.function, c.args)
				got := distro.FailureKind("")
				message := ""
				if r.Failure != nil {
					got, message = r.Failure.Kind, r.Failure.Message
				}
				if got != c.kind || !strings.Contains(r.View.Text, c.view) || !strings.Contains(message, c.message) {
					t.Errorf("%s: kind %q, view %q, failure %+v", c.name, got, r.View.Text, r.Failure)
				}
			}
		})
	}
}

func TestNothingAJobStartsSurvivesIt(t *testing.T) {
	t.Parallel()
	for _, isolation := range []python.Isolation{python.Fork, python.Pool, python.Spawn} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *python.Options) { o.Isolation = isolation })
			b.write("h.py", hostile)
			for _, function := range []string{"daemon", "forgotten_process"} {
				name := fmt.Sprintf("left-%.3s-%.4s", isolation, function)
				r, _ := b.run("h."+function, fmt.Sprintf("[%q], {}", name))
				if r.Outcome != distro.OutcomeFinished {
					t.Fatalf("%s: %+v", function, r.Failure)
				}
				gone(t, name)
			}
		})
	}
}

func TestATimeoutRaisesInTheJobAndThenKills(t *testing.T) {
	t.Parallel()
	// It has the time that it may take on a busy machine.
	b := setup(t, func(o *python.Options) { o.KillGrace = time.Minute })
	b.write("h.py", hostile)
	for _, function := range []string{"h.never", "h.look", "h.look"} { // a call that hides errors does not hide this one
		path := filepath.Join(t.TempDir(), "cleaned")
		a := b.start(function, fmt.Sprintf("[%q], {}", path), 3*time.Second, func(bool, []byte) {})
		<-a.Done()
		if f := a.Result().Failure; f == nil || f.Kind != distro.FailureTimeout || !strings.Contains(f.Type, "JobTimeoutException") || !strings.Contains(f.Message, "exceeded maximum timeout value (3 seconds)") {
			t.Errorf("%s: failure %+v", function, f)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "cleaned" {
			t.Errorf("%s: finally did not run: %q %v", function, text, err)
		}
	}
	b = setup(t, nil)
	b.write("h.py", hostile)
	a := b.start("h.stubborn", "", 200*time.Millisecond, func(bool, []byte) {})
	<-a.Done()
	if f := a.Result().Failure; f == nil || f.Kind != distro.FailureTimeout {
		t.Errorf("failure %+v", f)
	}
}

func TestStopAsksThenKills(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.write("h.py", hostile)
	ready := filepath.Join(b.dir, "ready")
	a := b.start("h.deaf", fmt.Sprintf("[\"deaf-job\", %q], {}", ready), time.Minute, func(bool, []byte) {})
	waitForFile(t, ready)
	a.Stop(distro.FailureStopped, 50*time.Millisecond)
	<-a.Done()
	if r := a.Result(); r.Outcome != distro.OutcomeStopped {
		t.Errorf("outcome %q, %+v", r.Outcome, r.Failure)
	}
	if left := alive(t, "deaf-job"); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestLargeArgumentsResultsAndOutput(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.write("h.py", hostile)
	big := strings.Repeat("ação", 4<<20)
	r, _ := b.run("h.echo", fmt.Sprintf("[%q], {}", big))
	if r.Outcome != distro.OutcomeFinished || len(r.Pickle) < len(big) || len(r.View.Text) > 32<<10 || !r.View.Truncated {
		t.Errorf("outcome %q, pickle of %d bytes, view of %d", r.Outcome, len(r.Pickle), len(r.View.Text))
	}
	r, out := b.run("h.print_much", "[64], {}")
	if r.Outcome != distro.OutcomeFinished || out.out.Len() != 64<<20 {
		t.Errorf("outcome %q, %d bytes printed", r.Outcome, out.out.Len())
	}
}

func TestAJobSeesItsOwnPlaceOnly(t *testing.T) {
	t.Parallel()
	for _, isolation := range []python.Isolation{python.Fork, python.Pool, python.Spawn} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *python.Options) {
				o.Isolation = isolation
				o.Environ = append(os.Environ(), "DISTRO_AUTH_TOKEN=very-secret-token")
			})
			b.write("h.py", hostile)
			r, _ := b.run("h.environment", "")
			want := fmt.Sprintf(`{"distro": ["DISTRO_ARTIFACTS", "DISTRO_ATTEMPT", "DISTRO_JOB_ID", "DISTRO_QUEUE"], "fds": ["0", "1", "2", "3"], "stdin": "", "cwd": %q, "path": %q, "main": ["__builtins__", "__doc__", "__loader__", "__name__", "__package__", "__spec__"], "tmp": [], "encoding": "utf-8", "secret": null}`, b.dir, b.dir)
			if r.View.Text != want {
				t.Errorf("sees  %s\nwants %s\n%+v", r.View.Text, want, r.Failure)
			}
		})
	}
}

func TestEditsAreSeenByTheNextJob(t *testing.T) {
	t.Parallel()
	for _, isolation := range []python.Isolation{python.Fork, python.Pool, python.Spawn} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *python.Options) { o.Isolation = isolation })
			b.write("lib/part.py", "value = 0\n")
			for i := range 40 {
				source := fmt.Sprintf("from lib import part\ndef f():\n    return %d + part.value\n", 100+i)
				if i%3 == 1 {
					b.write("lib/part.py", fmt.Sprintf("value = %d\n", i%10))
				}
				b.write("edited.py", source)
				r, _ := b.run("edited.f", "")
				part, err := os.ReadFile(filepath.Join(b.dir, "lib/part.py"))
				if err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprint(100 + i + int(part[8]-'0'))
				if r.View.Text != want {
					t.Fatalf("edit %d: got %q, want %q; %+v", i, r.View.Text, want, r.Failure)
				}
			}
			if _, err := os.Stat(filepath.Join(b.dir, "__pycache__")); err == nil {
				t.Error("__pycache__ was written")
			}
		})
	}
}

func waitForFile(t *testing.T, path string) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := os.Stat(path); err == nil {
				return
			}
		case <-deadline.C:
			t.Fatalf("no file %s", path)
		}
	}
}
