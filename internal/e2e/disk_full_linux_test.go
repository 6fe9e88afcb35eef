package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

const printing = `
import os, time

def counts(until):
    n = 0
    while not os.path.exists(until):
        n += 1
        print("number", n)
        time.sleep(0.002)
    print("the end")
    return n

def waits(until):
    while not os.path.exists(until):
        time.sleep(0.01)
    return "r" * 100_000

def padded(pad):
    pass

def nothing():
    pass
`

// disk is a small one under the data directory of a server.
type disk struct {
	s      *server
	filler string
}

// smallDisk puts the data directory on a disk of its own, or skips the test.
func smallDisk(s *server) *disk {
	s.t.Helper()
	if os.Geteuid() != 0 {
		s.t.Skip("only root can mount a small disk")
	}
	dir := filepath.Join(s.dir, ".distro")
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mount("distro-test", dir, "tmpfs", 0, "size=32m,mode=0700"); err != nil {
		s.t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	s.t.Cleanup(func() {
		s.kill()
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
	return &disk{s, filepath.Join(dir, "filler")}
}

// fill writes until there is no room left.
func (d *disk) fill() {
	d.s.t.Helper()
	file, err := os.OpenFile(d.filler, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		d.s.t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			d.s.t.Fatal(err)
		}
	}
}

// free makes room again.
func (d *disk) free() {
	d.s.t.Helper()
	if err := os.Remove(d.filler); err != nil {
		d.s.t.Fatal(err)
	}
}

// full is the answer to what there is no room for.
func (s *server) full(status int, text string) bool {
	s.t.Helper()
	if status != http.StatusInsufficientStorage {
		return false
	}
	var p httpapi.Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.Status != status || p.Code != "full" || !strings.Contains(p.Detail, "no room") {
		s.t.Errorf("no problem that says what is wrong: %s, %v", text, err)
	}
	return true
}

// refusesForLackOfRoom checks everything that is asked of a server whose disk is full, and
// of which a job runs.
func (s *server) refusesForLackOfRoom(running string) {
	s.t.Helper()
	for path, body := range map[string]string{
		"/scheduler/queue-task":    `{"module": "printing", "function": "nothing", "queue": "default"}`,
		"/scheduler/schedule-task": `{"module": "printing", "function": "nothing", "queue": "default", "hours": 1}`,
		"/api/v1/jobs":             `{"function": "printing.nothing"}`,
		"/api/v1/jobs/batch":       `{"jobs": [{"function": "printing.nothing"}]}`,
		"/api/v1/operations":       `{"action": "delete", "status": "finished"}`,
	} {
		if status, text := s.post(path, body); !s.full(status, text) {
			s.t.Errorf("%s answers %d %s on a full disk", path, status, text)
		}
	}
	status, stdout, stderr := s.distro("enqueue", "printing.nothing")
	if status != 1 || stdout != "" || !strings.Contains(stderr, "no room") || strings.Count(stderr, "\n") != 1 {
		s.t.Errorf("distro enqueue: exit %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	for path, want := range map[string]int{
		"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/metrics": http.StatusOK,
		"/api/v1/jobs": http.StatusOK, "/api/v1/jobs/" + running: http.StatusOK, "/api/v1/jobs/" + running + "/attempts": http.StatusOK,
		"/api/v1/jobs/" + running + "/log": http.StatusOK, "/api/v1/queues": http.StatusOK, "/api/v1/workers": http.StatusOK,
		"/api/v1/executions": http.StatusOK, "/api/v1/executions/count": http.StatusOK, "/api/v1/operations": http.StatusOK,
		"/api/v1/automations": http.StatusOK, "/api/v1/overview": http.StatusOK, "/scheduler/modules": http.StatusOK,
	} {
		status, text, err := s.try(http.MethodGet, path, "")
		if err != nil || status != want {
			s.t.Errorf("GET %s on a full disk: %d %s, %v", path, status, text, err)
		}
	}
	s.poll("the log says why it is not ready", func() bool {
		return strings.Contains(s.log(), `"msg":"not ready","error":"there is no room`)
	})
}

// countedLines checks that a log misses nothing that it does not tell of: what counts
// printed stands in its own line, and the lines between are one note. It returns how many these are.
func (s *server) countedLines(id string, printed int) (missing int64) {
	s.t.Helper()
	next := int64(1)
	for {
		var page httpapi.LogPage
		s.get(fmt.Sprintf("/api/v1/jobs/%s/log?from=%d&limit=1000", id, next), &page)
		for _, line := range page.Lines {
			want := fmt.Sprint("number ", line.Number)
			if line.Number == int64(printed)+1 {
				want = "the end"
			}
			switch {
			case line.Stream == "distro":
				missing += line.Number - next + 1
				if !strings.Contains(line.Text, "cut") {
					s.t.Errorf("line %d says %q", line.Number, line.Text)
				}
			case line.Number != next || line.Text != want:
				s.t.Fatalf("line %d, %q, stands where line %d should", line.Number, line.Text, next)
			}
			next = line.Number + 1
		}
		if len(page.Lines) == 0 {
			break
		}
	}
	if next != int64(printed)+2 {
		s.t.Errorf("the log ends with line %d of %d", next-1, printed+1)
	}
	return missing
}

// TestAFullDiskRefusesWorkAndLosesNone fills the disk while one job prints, one
// ends, and clients enqueue.
func TestAFullDiskRefusesWorkAndLosesNone(t *testing.T) {
	t.Parallel()
	s := newServer(t, "workers = 2\nresult_ttl = 1h\n", map[string]string{"printing.py": printing})
	d := smallDisk(s)
	s.start()
	release := func(name string) {
		if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	accepted := []string{s.enqueue("printing.nothing", "", "")}
	s.ended(accepted[0])
	prints := s.enqueue("printing.counts", fmt.Sprintf("[%q]", filepath.Join(s.dir, "print")), "")
	ends := s.enqueue("printing.waits", fmt.Sprintf("[%q]", filepath.Join(s.dir, "end")), "")
	accepted = append(accepted, prints, ends)
	s.remembered("state:started", 2)

	s.poll("the disk is full", func() bool {
		d.fill()
		status, text := s.post("/api/v1/jobs", `{"function": "printing.nothing"}`)
		var job httpapi.Job
		if status == http.StatusCreated && json.Unmarshal([]byte(text), &job) == nil {
			accepted = append(accepted, job.ID)
		}
		return s.full(status, text)
	})
	s.refusesForLackOfRoom(prints)
	release("end") // its end has to wait
	// Long enough for a worker to be given up that cannot tell of itself.
	outage := time.NewTimer(15 * time.Second)
	<-outage.C
	var job httpapi.Job
	if s.get("/api/v1/jobs/"+ends, &job); job.Status != "started" {
		t.Errorf("a job is %s whose end cannot be stored", job.Status)
	}
	s.refusesForLackOfRoom(prints)

	d.free()
	if job := s.ended(ends); job.Status != "finished" || job.Attempt != 1 || job.Result == nil {
		t.Errorf("the job that ended on a full disk is %s, attempt %d, %+v", job.Status, job.Attempt, job.Failure)
	}
	s.poll("it is ready again", func() bool {
		status, _, err := s.try(http.MethodGet, "/readyz", "")
		return err == nil && status == http.StatusOK
	})
	accepted = append(accepted, s.enqueue("printing.nothing", "", ""))
	for _, id := range accepted {
		if id == prints {
			continue
		}
		if job := s.ended(id); job.Status != "finished" || job.Attempt != 1 {
			t.Errorf("job %s is %s, attempt %d, %+v", id, job.Status, job.Attempt, job.Failure)
		}
	}
	release("print")
	job = s.ended(prints)
	var printed int
	if job.Result == nil || json.Unmarshal(job.Result.Value, &printed) != nil {
		t.Fatalf("the job that printed is %s, %+v", job.Status, job.Failure)
	}
	t.Logf("%d of %d lines are missing, %d jobs were accepted", s.countedLines(prints, printed), printed, len(accepted))

	runs := map[string]int{}
	for _, e := range s.remembered("state:finished", len(accepted)) {
		runs[e.JobID]++
		if e.Attempt != 1 || e.StartedAt == nil || e.EndedAt == nil {
			t.Errorf("remembered: %+v", e)
		}
	}
	for _, id := range accepted {
		if runs[id] != 1 {
			t.Errorf("job %s is remembered %d times", id, runs[id])
		}
	}
	s.remembered("", len(accepted))
	var workers httpapi.WorkerList
	if s.get("/api/v1/workers", &workers); len(workers.Workers) != 1 || workers.Workers[0].Finished != int64(len(accepted)) {
		t.Errorf("workers: %+v, want one that ended %d jobs", workers, len(accepted))
	}
	s.stop()
	s.sound()
}

func TestAServerThatStartsOnAFullDiskSaysSo(t *testing.T) {
	t.Parallel()
	s := newServer(t, "result_ttl = 1h\nworkers = 1\ntask_retries = 1\n", map[string]string{"printing.py": printing})
	d := smallDisk(s)
	s.start()
	end := filepath.Join(s.dir, "end")
	id := s.enqueue("printing.waits", fmt.Sprintf("[%q]", end), "")
	s.remembered("state:started", 1)
	s.kill()
	d.fill()
	s.launch()
	code, text := s.process.ExitCode(), s.process.Output()
	if code != 1 || !strings.HasPrefix(text, "distro: there is no room left in data_dir") || strings.Count(text, "\n") != 1 {
		t.Errorf("exit %d: %s", code, text)
	}
	d.free()
	s.start()
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if job := s.ended(id); job.Status != "finished" || job.Attempt != 2 {
		t.Errorf("the job is %s, attempt %d", job.Status, job.Attempt)
	}
}

// TestJobsGoOnWhileHistoryHasNoRoom has the queue's log grow before the disk is
// full, so that the queue writes on in the room that it has.
func TestJobsGoOnWhileHistoryHasNoRoom(t *testing.T) {
	t.Parallel()
	s := newServer(t, "workers = 1\nresult_ttl = 1h\n", map[string]string{"printing.py": printing})
	d := smallDisk(s)
	s.start()
	log := func() int64 {
		info, err := os.Stat(filepath.Join(s.dir, ".distro", "queue.db-wal"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	large := fmt.Sprintf(`{"function": "printing.padded", "kwargs": {"pad": %q}, "delay": "1h"}`, strings.Repeat("x", 500_000))
	var size int64
	for grown := true; grown; grown = log() > size || size < 8<<20 { // until it begins anew
		size = log()
		status, text := s.post("/api/v1/jobs", large)
		var job httpapi.Job
		if status != http.StatusCreated || json.Unmarshal([]byte(text), &job) != nil {
			t.Fatal(status, text)
		}
		if status, text, err := s.try(http.MethodDelete, "/api/v1/jobs/"+job.ID, ""); err != nil || status/100 != 2 {
			t.Fatal(status, text, err)
		}
	}
	s.enqueue("printing.nothing", "", "")
	s.remembered("", 1)
	d.fill()
	const jobs = 20
	for range jobs {
		if job := s.ended(s.enqueue("printing.nothing", "", "")); job.Status != "finished" {
			t.Fatalf("a job is %s, %+v", job.Status, job.Failure)
		}
	}
	var page httpapi.ExecutionPage
	s.poll("it is known that history is behind", func() bool {
		s.get("/api/v1/executions", &page)
		return page.Behind != nil && len(page.Executions) <= 1+jobs
	})
	if len(page.Executions) > jobs {
		t.Error("history had room")
	}
	d.free()
	for _, e := range s.remembered("state:finished", 1+jobs) {
		if e.Attempt != 1 || e.StartedAt == nil || e.EndedAt == nil {
			t.Errorf("remembered: %+v", e)
		}
	}
	s.remembered("", 1+jobs)
	s.stop()
	s.sound()
}
