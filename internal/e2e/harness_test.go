// Package e2e tests the binary from outside: it builds it, starts it, and talks
// to it as users, programs and operating systems do.
package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/proctest"
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "distro-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", dir, "../../cmd/distro")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", text, err)
			return 1
		}
		os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		return m.Run()
	}())
}

// server is a `distro up` over a folder of its own.
type server struct {
	t       testing.TB
	dir     string // short: jobs make sockets below it
	modules string
	url     string
	pages   string // of the dashboard
	token   string // that requests send; empty: none
	args    []string

	process *proctest.Process   // the one that was launched last
	spawned []*proctest.Process // it, those before it, and what else the test started
}

// soaked is how much of something a test does: more where DISTRO_SOAK is set.
func soaked(usually, soaking int) int {
	if os.Getenv("DISTRO_SOAK") != "" {
		return soaking
	}
	return usually
}

// newServer writes the settings and the modules; start starts it.
func newServer(t testing.TB, settings string, modules map[string]string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, dir: dir, modules: filepath.Join(dir, "m")}
	for name, source := range modules {
		s.write(name, source)
	}
	if err := os.MkdirAll(s.modules, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.cfg"), []byte("modules_path = m\n"+settings), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []*string{&s.url, &s.pages} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*url = "http://" + l.Addr().String()
		defer l.Close() // both are open at a time, so that they differ
	}
	t.Cleanup(func() {
		s.kill()
		s.noProcessLeft()
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.log())
		}
	})
	return s
}

func (s *server) write(name, source string) {
	s.t.Helper()
	path := filepath.Join(s.modules, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// launch starts the process without waiting for it to serve.
func (s *server) launch(wrapper ...string) {
	s.t.Helper()
	args := append(wrapper, "distro", "up", "--config", filepath.Join(s.dir, "config.cfg"), "--listen", strings.TrimPrefix(s.url, "http://"), "--dashboard", strings.TrimPrefix(s.pages, "http://"))
	args = append(args, s.args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = s.dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "DISTRO_") })
	s.process = s.spawn(cmd)
}

// spawn starts a process that ends with the test, what it started not: that is to
// end by itself.
func (s *server) spawn(cmd *exec.Cmd) *proctest.Process {
	s.t.Helper()
	p, err := proctest.Launch(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	s.spawned = append(s.spawned, p)
	return p
}

func (s *server) start(wrapper ...string) *server {
	s.t.Helper()
	s.launch(wrapper...)
	s.serves("the server", s.process, "/healthz")
	return s
}

// serves waits until a process answers requests.
func (s *server) serves(what string, p *proctest.Process, path string) {
	s.t.Helper()
	s.poll(what+" answers", func() bool {
		if p.Ended() {
			s.t.Fatalf("%s ended: %v", what, p.Wait(s.t.Context()))
		}
		status, _, err := s.try(http.MethodGet, path, "")
		return err == nil && status == http.StatusOK
	})
}

// stop sends SIGTERM and waits.
func (s *server) stop() {
	s.t.Helper()
	s.process.Stop(s.t)
}

// kill kills what was spawned and still runs.
func (s *server) kill() {
	for _, p := range s.spawned {
		p.Kill()
	}
}

// log is what all that was spawned has written.
func (s *server) log() string {
	var log strings.Builder
	for _, p := range s.spawned {
		log.WriteString(p.Output())
	}
	return log.String()
}

// poll waits for a condition of another process, which sends no event.
func (s *server) poll(what string, done func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(10 * time.Minute) // machines differ, and other tests run beside
	tick := time.NewTicker(20 * time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// post sends JSON and returns status and body.
func (s *server) post(path, body string) (int, string) {
	s.t.Helper()
	status, text, err := s.try(http.MethodPost, path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return status, text
}

func (s *server) try(method, path, body string) (int, string, error) {
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func (s *server) get(path string, into any) {
	s.t.Helper()
	status, text, err := s.try(http.MethodGet, path, "")
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s %v", path, status, text, err)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.t.Fatalf("GET %s: %v in %s", path, err, text)
	}
}

// enqueue queues module.function and returns the job's ID.
func (s *server) enqueue(function, args string, more string) string {
	s.t.Helper()
	if args == "" {
		args = "[]"
	}
	status, text := s.post("/api/v1/jobs", fmt.Sprintf(`{"function": %q, "args": %s%s}`, function, args, more))
	var job httpapi.Job
	if err := json.Unmarshal([]byte(text), &job); err != nil || status != http.StatusCreated {
		s.t.Fatalf("enqueue %s: %d %s", function, status, text)
	}
	return job.ID
}

// ended waits until a job has ended.
func (s *server) ended(id string) httpapi.Job {
	s.t.Helper()
	for {
		var job httpapi.Job
		s.get("/api/v1/jobs/"+id+"?wait=50s", &job)
		if job.EndedAt != nil && (job.Status == "finished" || job.Status == "failed" || job.Status == "stopped" || job.Status == "canceled") {
			return job
		}
	}
}

// distro runs a client command and returns its exit status and output.
func (s *server) distro(args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "distro", append(args, "--server", s.url)...)
	cmd.Dir = s.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			s.t.Fatal(err)
		}
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// processes lists what a server of this folder has started and still lives.
func (s *server) processes() []string {
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, path := range environs {
		if environ, err := os.ReadFile(path); err == nil && bytes.Contains(environ, []byte(s.dir+"/")) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			if !bytes.HasPrefix(name, []byte("distro\x00")) {
				found = append(found, filepath.Base(filepath.Dir(path))+" "+string(bytes.ReplaceAll(name, []byte{0}, []byte{' '})))
			}
		}
	}
	return found
}

// noProcessLeft waits two seconds at most.
func (s *server) noProcessLeft() {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := s.processes()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("left running: %q", left)
			return
		}
		<-tick.C
	}
}
