package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/redistest"
)

// imported runs distro import rq with some variables.
func imported(t *testing.T, environ []string, args ...string) (status int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	con := newConsole(environ, strings.NewReader(""), &stdout, &stderr)
	con.colors = false
	status = execute(t.Context(), con, append([]string{"import", "rq"}, args...))
	return status, stdout.String(), stderr.String()
}

func TestImportReportsForPeopleAndForPrograms(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	c := s.Conn(t, s.URL())
	c.Do("SADD", "rq:queues", "rq:queue:default")
	c.Do("RPUSH", "rq:queue:default", "job\x1b[2J", "gone")
	c.Do("HSET", "rq:job:job\x1b[2J", "data", "\x80\x04\x95", "status", "queued", "origin", "default")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "m.py"), []byte("def f(): pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errOut := imported(t, []string{"REDIS_URL=" + s.URL()}, "--modules", dir)
	if status != 0 || errOut != "" {
		t.Fatalf("status %d: %s", status, errOut)
	}
	for _, want := range []string{
		"redis            " + s.Addr() + "/0, Redis ",
		"\nQueues\nQUEUE    QUEUED  STARTED",
		"\ndefault  2 ",
		"\nWorkers\nno workers\n",
		"\n  - 1 job: its pickle: it ends too early (job\\x1b[2J)\n",
		"\n  - default: entries whose job is gone: 1 (gone); Distro passes over them",
		"\n`distro up` with this redis_url would first\n  - write keys of its own",
		"\n  modules_path = " + dir + "\n",
		"\n  distro dashboard --redis-url " + s.URL() + "\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("the report acts on a terminal: %q", out)
	}
	status, out, errOut = imported(t, nil, "--redis-url", s.URL(), "--json")
	var report struct {
		Queues []struct{ Name string }
		Jobs   struct{ Unreadable []struct{ Jobs int } }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 || errOut != "" {
		t.Fatalf("status %d: %s, %v", status, errOut, err)
	}
	if len(report.Queues) != 1 || report.Queues[0].Name != "default" || len(report.Jobs.Unreadable) != 1 {
		t.Errorf("JSON: %s", out)
	}
}

func TestImportSaysWhatIsWrongWithARedis(t *testing.T) {
	t.Parallel()
	locked := redistest.Start(t, redistest.Options{Password: "hunter2hunter2"})
	empty := redistest.Start(t, redistest.Options{})
	cluster := redistest.Start(t, redistest.Options{Args: []string{"--cluster-enabled", "yes", "--databases", "1"}})
	for name, tt := range map[string]struct {
		args, environ []string
		status        int
		says          string
	}{
		"none":           {nil, nil, 2, "name it with --redis-url"},
		"no URL":         {[]string{"-u", "localhost:6379"}, nil, 2, "--redis-url: a Redis URL has one of the forms"},
		"bad variable":   {nil, []string{"RQ_REDIS_URL=http://x"}, 2, "RQ_REDIS_URL: "},
		"no password":    {[]string{"-u", "redis://" + locked.Addr()}, nil, 1, "it wants a password"},
		"wrong password": {[]string{"-u", "redis://:guessguess@" + locked.Addr()}, nil, 1, "it does not take this"},
		"nobody there":   {[]string{"-u", "redis://127.0.0.1:1"}, nil, 1, "start it, or name another Redis with --redis-url"},
		"not RQ's":       {[]string{"-u", empty.URL()}, nil, 1, "RQ was never used in this database"},
		"cluster":        {[]string{"-u", cluster.URL()}, nil, 1, "this is a Redis Cluster"},
		"no folder":      {[]string{"-u", empty.URL(), "--modules", "/nowhere"}, nil, 2, "--modules: /nowhere: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, out, errOut := imported(t, tt.environ, tt.args...)
			if status != tt.status || out != "" || !strings.Contains(errOut, tt.says) || strings.Count(errOut, "\n") != 1 {
				t.Errorf("status %d, stdout %q, stderr %q", status, out, errOut)
			}
			if strings.Contains(errOut, "guessguess") || strings.Contains(errOut, "hunter2") {
				t.Errorf("it tells a password: %s", errOut)
			}
		})
	}
}
