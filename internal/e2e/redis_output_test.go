package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// talks are functions that print, for workers on other hosts.
const talks = `
import os, random, sys, time

def gate(path):
    while not os.path.exists(path):
        time.sleep(0.005)

def speaks(path):
    print("one")
    print("naïve \u2603", file=sys.stderr)
    print("name? ", end="", flush=True)
    gate(path)
    print("Ada")
    raise ValueError("no more")

def ticks(n, pause):
    for i in range(n):
        print(time.time_ns(), flush=True)
        time.sleep(pause)

def counts(n, path, every=1):
    for i in range(n):
        print(i, "x" * (i % 50))
        if i % 100 == 0:
            time.sleep(0.001 * every)
    sys.stdout.flush()
    if path:
        gate(path)

def noise(megabytes):
    r = random.Random(1)
    for i in range(megabytes * 1000):
        print(r.randbytes(500).hex()[:999])

def dies(path):
    print("last words", flush=True)
    gate(path)
`

// talkative is an orchestrator without workers, and a remote worker of its
// functions that reaches Redis at an address.
func (s *site) talkative(settings, url string) (up *server, worker *proctest.Process) {
	s.t.Helper()
	up = newServer(s.t, "redis_url = "+url+"\nworkers = 0\nauth = none\n"+settings, map[string]string{"talks.py": talks}).start()
	worker = s.remote(up, url)
	return up, worker
}

func (s *site) remote(up *server, url string) *proctest.Process {
	s.t.Helper()
	worker := distroWorker(s, "remote", "--url", url, "--modules", up.modules, "default")
	s.awaitState(worker, "remote", "idle")
	return worker
}

// lines are all output of a job, page by page.
func (s *server) lines(id string) []httpapi.LogLine {
	s.t.Helper()
	var all []httpapi.LogLine
	for next := int64(1); ; {
		var page httpapi.LogPage
		s.get(fmt.Sprintf("/api/v1/jobs/%s/log?from=%d&count=1000", id, next), &page)
		all = append(all, page.Lines...)
		if n := len(page.Lines); n == 0 || page.Lines[n-1].Open {
			return all
		}
		next = page.Next
	}
}

// stream reads the events of a job's output until it ends, and hands over each
// line. It returns the status that the job ended with.
func (s *server) stream(id string, each func(httpapi.LogLine)) string {
	s.t.Helper()
	response, err := http.Get(s.url + "/api/v1/jobs/" + id + "/log/stream")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	event := ""
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			event = value
		case name == "data" && event == "line":
			var line httpapi.LogLine
			if err := json.Unmarshal([]byte(value), &line); err != nil {
				s.t.Fatal(err)
			}
			each(line)
		case name == "data" && event == "end":
			var end httpapi.LogEnd
			if err := json.Unmarshal([]byte(value), &end); err != nil {
				s.t.Fatal(err)
			}
			return end.Status
		}
	}
	s.t.Fatal("the stream broke off")
	return ""
}

// texts are lines as "stream text", open ones with a ">" at the end.
func texts(lines []httpapi.LogLine) (list []string) {
	for _, l := range lines {
		text := l.Stream + " " + l.Text
		if l.Open {
			text += ">"
		}
		list = append(list, text)
	}
	return list
}

func TestOutputOfARemoteWorkerIsReadAsThatOfAnEmbeddedOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up, worker := s.talkative("", s.url)
	gate := filepath.Join(s.dir, "gate")
	id := up.enqueue("talks.speaks", fmt.Sprintf("[%q]", gate), "")
	up.poll("what was printed is read while the job runs", func() bool {
		got := texts(up.lines(id))
		slices.Sort(got) // of two streams, in any order
		return slices.Equal(got, []string{"stderr naïve ☃", "stdout name? >", "stdout one"})
	})
	began := time.Now()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var streamed []httpapi.LogLine
	if status := up.stream(id, func(l httpapi.LogLine) { streamed = append(streamed, l) }); status != "failed" {
		t.Errorf("the stream ended with %s", status)
	}
	if diff := cmp.Diff(up.lines(id), streamed); diff != "" {
		t.Errorf("read and streamed (-read +streamed):\n%s", diff)
	}

	// The same on an embedded worker of another orchestrator.
	embedded := newServer(t, "workers = 1\n", map[string]string{"talks.py": talks}).start()
	other := embedded.enqueue("talks.speaks", fmt.Sprintf("[%q]", gate), "")
	embedded.ended(other)
	want, got := texts(embedded.lines(other)), texts(up.lines(id))
	for _, lines := range [][]string{want, got} {
		for i, line := range lines {
			lines[i] = strings.ReplaceAll(strings.ReplaceAll(line, up.modules, "m"), embedded.modules, "m")
		}
		slices.Sort(lines[:3]) // of two streams, in any order
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 4 {
		t.Errorf("(-embedded +remote):\n%s", diff)
	}
	if i := slices.IndexFunc(streamed, func(l httpapi.LogLine) bool { return l.Text == "name? Ada" }); !streamed[i].At.Before(began) {
		t.Errorf("the time %v of a line is not that of its begin, before %v", streamed[i].At, began)
	}
	_, text, err := up.try(http.MethodGet, "/api/v1/jobs/"+id+"/log.txt", "")
	if err != nil || !strings.Contains(text, "name? Ada\n") || !strings.Contains(text, "\ndistro: Traceback") {
		t.Errorf("as text: %q, %v", text, err)
	}
	var page httpapi.LogPage
	if up.get("/api/v1/jobs/"+id+"/log?q=NO+MORE&level=error", &page); page.Matches == nil || page.Matches.Found == 0 || !page.Ended {
		t.Errorf("searched: %+v", page)
	}
	if !strings.Contains(worker.Output(), "Ada\n") {
		t.Errorf("the worker's own output has no line of the job, as RQ's has:\n%s", worker.Output())
	}
	worker.Stop(t)
}

// TestALiveTailIsNotLate measures from print to the client of the API.
func TestALiveTailIsNotLate(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up, worker := s.talkative("", s.url)
	id := up.enqueue("talks.ticks", "[100, 0.02]", "")
	var late []time.Duration
	up.stream(id, func(l httpapi.LogLine) {
		ns, err := strconv.ParseInt(l.Text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		late = append(late, time.Since(time.Unix(0, ns)))
	})
	slices.Sort(late)
	if len(late) != 100 || late[50] > 500*time.Millisecond {
		t.Errorf("%d lines, half of them later than %v", len(late), late[len(late)/2])
	}
	t.Logf("from print to client: median %v, 95 %% %v, worst %v", late[50], late[95], late[99])
	worker.Stop(t)
}

// checkCounts checks that a job's output is what counts prints, once and in
// order.
func (s *server) checkCounts(id string, n int) {
	s.t.Helper()
	lines := s.lines(id)
	for i, l := range lines {
		if want := fmt.Sprint(i, " ", strings.Repeat("x", i%50)); l.Text != want || l.Number != int64(i+1) || l.Stream != "stdout" {
			s.t.Fatalf("line %d of %d is %d %q, want %q", i+1, len(lines), l.Number, l.Text, want)
		}
	}
	if len(lines) != n {
		s.t.Errorf("%d lines, want %d", len(lines), n)
	}
}

func TestOutputIsCompleteThoughTheOrchestratorIsKilled(t *testing.T) {
	t.Parallel()
	const lines, kills = 30_000, 5
	s := newSite(t, redistest.Options{})
	up, worker := s.talkative("", s.url)
	gate := filepath.Join(s.dir, "gate")
	id := up.enqueue("talks.counts", fmt.Sprintf("[%d, %q, 5]", lines, gate), "")
	total := func() int64 {
		var page httpapi.LogPage
		up.get("/api/v1/jobs/"+id+"/log", &page)
		return page.Total
	}
	for range kills {
		before := total()
		up.poll("more was stored", func() bool { return total() > before || total() == lines })
		up.kill()
		up.start()
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status := up.stream(id, func(httpapi.LogLine) {}); status != "finished" {
		t.Errorf("the job is %s", status)
	}
	up.checkCounts(id, lines)
	worker.Stop(t)
}

func TestOutputIsCompleteThoughRepliesAreLost(t *testing.T) {
	t.Parallel()
	const lines = 30_000
	s := newSite(t, redistest.Options{})
	proxy := redistest.StartProxy(t, s.redis.Addr())
	up, worker := s.talkative("", proxy.URL(0))
	gate := filepath.Join(s.dir, "gate")
	id := up.enqueue("talks.counts", fmt.Sprintf("[%d, %q, 5]", lines, gate), "")
	proxy.CutEvery(5)
	s.await("replies are lost", func() bool { return proxy.Cuts() >= 60 })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(id, "finished")
	proxy.CutEvery(0)
	up.poll("all is stored", func() bool {
		var page httpapi.LogPage
		status, text, err := up.try(http.MethodGet, "/api/v1/jobs/"+id+"/log", "") // not reached just now, perhaps
		return err == nil && status == http.StatusOK && json.Unmarshal([]byte(text), &page) == nil && page.Total >= lines
	})
	up.stream(id, func(httpapi.LogLine) {})
	up.checkCounts(id, lines)
	t.Logf("%d replies were lost", proxy.Cuts())
	worker.Stop(t)
}

func TestOutputThatNobodyReadsIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up, worker := s.talkative("", s.url)
	ids := []string{
		up.enqueue("talks.noise", "[3]", ""), up.enqueue("talks.counts", `[1000, ""]`, ""), up.enqueue("talks.noise", "[3]", ""),
	}
	s.awaitStatus(ids[2], "finished")
	up.kill()
	for i := range ids { // again, and nobody reads
		s.do("EVAL", `redis.call('ZREM', 'rq:finished:default', ARGV[1]) redis.call('HSET', 'rq:job:' .. ARGV[1], 'status', 'queued')
			return redis.call('RPUSH', 'rq:queue:default', ARGV[1])`, "0", ids[i])
	}
	s.await("the jobs end, read or not", func() bool {
		return s.do("ZCARD", "rq:finished:default") == int64(3) && s.do("LLEN", "rq:queue:default") == int64(0)
	})
	total := 0
	for _, id := range ids {
		unread, _ := strconv.Atoi(fmt.Sprint(s.do("HGET", "distro:unread", "job:"+id)))
		if total += unread; unread > 256<<10 {
			t.Errorf("%d bytes of %s wait", unread, id)
		}
	}
	if all := fmt.Sprint(s.do("HGET", "distro:unread", "all")); all != strconv.Itoa(total) || total < 256<<10 {
		t.Errorf("%s bytes wait in all, %d of the jobs", all, total)
	}
	up.start()
	for i, want := range []int{6000, 2000, 6000} {
		up.stream(ids[i], func(httpapi.LogLine) {})
		up.poll("the rest is stored", func() bool { return len(up.lines(ids[i])) >= want })
		if lines := up.lines(ids[i]); len(lines) != want+1 || lines[want/2].Text != "attempt 2" {
			t.Errorf("job %d has %d lines, want %d of each of two attempts", i, len(lines), want/2)
		}
	}
	worker.Stop(t)
}

func TestWithoutAnOrchestratorNoOutputIsShipped(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	worker := distroWorker(s, "alone")
	s.awaitState(worker, "alone", "idle")
	s.client("enqueue", "default", "job", "prints")
	s.awaitStatus("job", "finished")
	worker.Await(t, "to standard output")
	if n := s.do("EXISTS", "distro:output", "distro:unread", "distro:listens"); n != int64(0) {
		t.Errorf("%v keys of output were made", n)
	}
	worker.Stop(t)
}

func TestALogEndsThoughItsWorkerWasKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up, worker := s.talkative("task_retries = 0\n", s.url)
	id := up.enqueue("talks.dies", fmt.Sprintf("[%q]", filepath.Join(s.dir, "never")), "")
	up.poll("it has begun", func() bool { return len(up.lines(id)) == 1 })
	worker.Kill()
	var got []httpapi.LogLine
	if status := up.stream(id, func(l httpapi.LogLine) { got = append(got, l) }); status != "failed" || len(got) != 1 || got[0].Text != "last words" {
		t.Errorf("%s after %q", status, texts(got))
	}
}
