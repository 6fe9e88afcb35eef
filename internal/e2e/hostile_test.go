package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// TestHostileJobsEndAndTheServerGoesOn runs what breaks other runners through
// the binary. Package python checks the same closer by.
func TestHostileJobsEndAndTheServerGoesOn(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("testdata/hostile.py")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "job_memory = 256M\nkill_grace = 1s\nworkers = 2\n", map[string]string{"hostile.py": string(source)}).start()
	gigabyte := soaked(256, 1024)
	for _, c := range []struct {
		function, args, more string
		status, kind         string
	}{
		{"leave", "", "", "failed", "exit"},
		{"crash", "", "", "failed", "signal"},
		{"eat", "", "", "failed", "memory"},
		{"daemon", "", "", "finished", ""},
		{"print_much", fmt.Sprintf("[%d]", gigabyte), "", "finished", ""},
		{"close_all", "", "", "failed", "exit"},
		{"threads", "", "", "finished", ""},
		{"processes", `["fork"]`, "", "finished", ""},
		{"processes", `["spawn"]`, "", "finished", ""},
		{"gather", "", "", "finished", ""},
		{"never", "", `, "timeout": "2s"`, "failed", "timeout"},
		{"stubborn", "", `, "timeout": "1s"`, "failed", "timeout"},
		{"quiet", "", "", "finished", ""},
	} {
		job := s.ended(s.enqueue("hostile."+c.function, c.args, c.more))
		kind := ""
		if job.Failure != nil {
			kind = job.Failure.Kind
		}
		if job.Status != c.status || kind != c.kind {
			t.Errorf("%s: %s, %+v", c.function, job.Status, job.Failure)
		}
		s.onlyStandbys(2)
	}
	s.stoppedDeaf()
	s.stop()
}

// stoppedDeaf stops a job that ignores SIGTERM.
func (s *server) stoppedDeaf() {
	s.t.Helper()
	ready := filepath.Join(s.dir, "ready")
	id := s.enqueue("hostile.deaf", fmt.Sprintf("[%q]", ready), "")
	s.poll("the deaf job runs", func() bool { _, err := os.Stat(ready); return err == nil })
	if status, text := s.post("/api/v1/jobs/"+id+"/stop", ""); status != 200 {
		s.t.Errorf("stop: %d %s", status, text)
	}
	if job := s.ended(id); job.Status != "stopped" {
		s.t.Errorf("the deaf job is %s", job.Status)
	}
	s.onlyStandbys(2)
}

// onlyStandbys waits two seconds at most until nothing lives below the server
// but the zygote, discovery, and one process more than there are slots.
func (s *server) onlyStandbys(slots int) {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		zygotes, others := 0, []string(nil)
		for _, p := range s.processes() {
			switch {
			case strings.Contains(p, "zygote.py"):
				zygotes++
			default:
				others = append(others, p)
			}
		}
		if zygotes <= slots+2 && len(others) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("%d processes of the zygote and %q live on", zygotes, others)
			return
		}
		<-tick.C
	}
}

func TestEditsAreSeenByTheNextJobOfTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", map[string]string{"edited.py": "def f(): return 10\n"}).start()
	for n := range 12 {
		s.write("edited.py", fmt.Sprintf("def f(): return %d\n", 10+n))
		var got httpapi.Job
		if got = s.ended(s.enqueue("edited.f", "", "")); got.Result == nil || string(got.Result.Value) != fmt.Sprint(10+n) {
			t.Fatalf("edit %d: %+v", n, got)
		}
	}
	s.write("edited.py", "def f(a): return 1\n")
	if status, text := s.post("/scheduler/queue-task", `{"module":"edited","function":"f","queue":"default"}`); status != 422 || !strings.Contains(text, "kwargs.a") {
		t.Errorf("%d %s", status, text)
	}
}
