package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

const hello = `
def send_hello_world():
    print("olá, mundo")
    return "hello"

def slow(ready, go):
    import os, time
    open(ready, "w").close()
    while not os.path.exists(go):
        time.sleep(0.01)

def fail():
    print("before")
    raise ValueError("on purpose")
`

// TestTheOriginalsRequestsAnswerAsDocumented sends the four requests of the
// service that Distro replaces.
func TestTheOriginalsRequestsAnswerAsDocumented(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", map[string]string{"hello_world.py": hello}).start()
	body := `{"module":"hello_world","function":"send_hello_world","queue":"default"%s}`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // without id
	}{
		{"GET", "/scheduler/modules", "", 200, `[{"module":"hello_world"}]`},
		{"POST", "/scheduler/queue-task", fmt.Sprintf(body, ""), 201, `{"message":"task enqueued on default queue.","task":"hello_world.send_hello_world"}`},
		{"POST", "/scheduler/schedule-task/", fmt.Sprintf(body, `,"seconds":20,"minutes":10,"hours":2`), 201, `{"message":"task scheduled for 2 Hours, 10 Minutes and 20 Seconds from now on default queue.","task":"hello_world.send_hello_world"}`},
		{"GET", "/scheduler/clean-queue", "", 200, `{"message":"queue cleaned up"}`},
	} {
		status, text, err := s.try(c.method, c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s %s: %v in %q", c.method, c.path, err, text)
		}
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if object, ok := got.(map[string]any); ok && c.status == 201 {
			if object["id"] == "" || !strings.HasPrefix(text, `{"message"`) {
				t.Errorf("%s: %s", c.path, text)
			}
			delete(object, "id")
		}
		if diff := cmp.Diff(want, got); diff != "" || status != c.status {
			t.Errorf("%s %s: %d\n%s", c.method, c.path, status, diff)
		}
	}
	s.stop()
	if code := s.process.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestFollowStreamsTheOutputAndTellsTheEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t, "task_retries = 2\n", map[string]string{"hello_world.py": hello}).start()
	status, stdout, stderr := s.distro("enqueue", "hello_world.send_hello_world", "--follow")
	if status != 0 || !strings.Contains(stdout, "olá, mundo\n") {
		t.Errorf("exit %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	status, stdout, stderr = s.distro("enqueue", "hello_world.fail", "--follow")
	if status != 1 || strings.Count(stdout, "before\n") != 3 || !strings.Contains(stderr, "ValueError: on purpose") {
		t.Errorf("exit %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	status, stdout, stderr = s.distro("enqueue", "hello_world.send_hello_world", "--wait")
	if status != 0 || stdout != "hello\n" && stdout != "\"hello\"\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestADrainLetsJobsEndAndTheNextSignalKillsThem(t *testing.T) {
	t.Parallel()
	s := newServer(t, "result_ttl = 1h\n", map[string]string{"hello_world.py": hello})
	ready, proceed := filepath.Join(s.dir, "ready"), filepath.Join(s.dir, "go")
	exists := func(path string) func() bool {
		return func() bool { _, err := os.Stat(path); return err == nil }
	}
	s.start()
	first := s.enqueue("hello_world.slow", fmt.Sprintf("[%q, %q]", ready, proceed), "")
	s.poll("the job runs", exists(ready))
	s.process.Signal(syscall.SIGTERM)
	s.poll("it drains", func() bool {
		status, _, err := s.try(http.MethodGet, "/readyz", "")
		return err == nil && status == http.StatusServiceUnavailable
	})
	if err := os.WriteFile(proceed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := s.process.ExitCode(); code != 0 {
		t.Errorf("exit status %d after the drain", code)
	}
	if err := os.Remove(ready); err != nil {
		t.Fatal(err)
	}
	s.start()
	var job httpapi.Job
	if s.get("/api/v1/jobs/"+first, &job); job.Status != "finished" {
		t.Errorf("the drained job is %s", job.Status)
	}
	second := s.enqueue("hello_world.slow", fmt.Sprintf("[%q, %q]", ready, filepath.Join(s.dir, "never")), "")
	s.poll("the job runs", exists(ready))
	s.process.Signal(syscall.SIGTERM)
	s.poll("it drains", func() bool {
		status, _, err := s.try(http.MethodGet, "/readyz", "")
		return err == nil && status == http.StatusServiceUnavailable
	})
	s.process.Signal(syscall.SIGTERM)
	_ = s.process.Wait(t.Context()) // what is left of it tells how it ended
	s.noProcessLeft()
	s.start()
	if s.get("/api/v1/jobs/"+second, &job); job.Status != "failed" || job.Failure == nil || job.Failure.Kind != "lost" {
		t.Errorf("the killed job is %s, %+v", job.Status, job.Failure)
	}
}

func TestASecondServerNamesTheFirst(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", map[string]string{"hello_world.py": hello}).start()
	other := newServer(t, fmt.Sprintf("data_dir = %s\n", filepath.Join(s.dir, ".distro")), nil)
	other.launch()
	code, text := other.process.ExitCode(), other.process.Output()
	if code != 1 || !strings.Contains(text, fmt.Sprint("process ", s.process.Pid())) || strings.Count(text, "\n") != 1 {
		t.Errorf("exit %d: %s", code, text)
	}
}

func TestAnAnswerMeansSyncedToDisk(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", map[string]string{"hello_world.py": hello})
	trace := filepath.Join(s.dir, "trace")
	s.args = []string{"--workers", "0"}
	s.start("strace", "-D", "-f", "-qq", "-e", "trace=fsync,fdatasync,write", "-e", "signal=none", "-s", "16", "-o", trace)
	before := s.syncs(trace)
	const n = 20
	for range n {
		s.enqueue("hello_world.send_hello_world", "", "")
	}
	if got := s.syncs(trace) - before; got < n || got > 3*n {
		t.Errorf("%d answers one after another took %d syncs", n, got)
	}
	s.sharedSyncs(trace)
	s.stop()
	order := s.answers(trace)
	if len(order) < n {
		t.Fatalf("%d answers seen", len(order))
	}
	order = order[:n] // the others shared syncs
	for i, synced := range order {
		if !synced {
			t.Errorf("answer %d of %d went out before a sync", i+1, len(order))
		}
	}
}

// sharedSyncs checks that answers to many at a time share the syncs.
func (s *server) sharedSyncs(trace string) {
	s.t.Helper()
	before := s.syncs(trace)
	const clients, each = 32, 10
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range each {
				if status, text, err := s.try(http.MethodPost, "/api/v1/jobs", `{"function": "hello_world.send_hello_world"}`); err != nil || status != http.StatusCreated {
					s.t.Errorf("%d %s %v", status, text, err)
				}
			}
		})
	}
	group.Wait()
	if got := s.syncs(trace) - before; got > clients*each/2 {
		s.t.Errorf("%d answers to %d clients took %d syncs: they are not grouped", clients*each, clients, got)
	} else {
		s.t.Logf("%d answers to %d clients took %d syncs", clients*each, clients, got)
	}
}

// syncs counts the syncs traced so far.
func (s *server) syncs(trace string) int {
	s.t.Helper()
	text, err := os.ReadFile(trace)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Count(string(text), "sync(")
}

// answers says of each 201 in the trace whether a sync came since the one
// before.
func (s *server) answers(trace string) []bool {
	s.t.Helper()
	text, err := os.ReadFile(trace)
	if err != nil {
		s.t.Fatal(err)
	}
	var answers []bool
	synced := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.Contains(line, "sync") && strings.HasSuffix(line, "= 0\n"):
			synced = true
		case strings.Contains(line, `"HTTP/1.1 201 Cr`):
			answers = append(answers, synced)
			synced = false
		}
	}
	return answers
}
