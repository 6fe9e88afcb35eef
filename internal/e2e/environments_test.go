package e2e_test

import (
	"archive/zip"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// wheel writes a package of one module into a folder, by hand.
func wheel(t testing.TB, dir, name, version string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, name+"-"+version+"-py3-none-any.whl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info := name + "-" + version + ".dist-info/"
	archive := zip.NewWriter(file)
	for path, text := range map[string]string{
		name + ".py":      "version = '" + version + "'\n",
		info + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "RECORD":   name + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n",
	} {
		part, err := archive.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
}

const needs = `
def version():
    import greetings
    print("greetings", greetings.version)
    return greetings.version
`

// told runs needs.version to its end and returns the job, and its output: that
// of stream distro first.
func (s *server) told() (httpapi.Job, string) {
	s.t.Helper()
	began := time.Now()
	job := s.ended(s.enqueue("needs.version", "", ""))
	status, out, errs := s.distro("logs", job.ID)
	if status != 0 {
		s.t.Fatalf("logs: exit %d, %s", status, errs)
	}
	s.t.Logf("%s after %s: %s%s", job.Status, time.Since(began).Round(time.Millisecond), errs, out)
	return job, errs + out
}

// TestJobsRunInAnEnvironmentMadeOfRequirements installs a package from a folder
// with the tools that are there, without a network.
func TestJobsRunInAnEnvironmentMadeOfRequirements(t *testing.T) {
	t.Parallel()
	s := newServer(t, "environments = on\nworkers = 1\nresult_ttl = 1h\n", map[string]string{
		"needs.py": needs, "requirements.txt": "greetings==1.0\n",
		"pip.py": "raise SystemExit('a module does not stand in for a tool')\n", "venv.py": "raise SystemExit('nor does this one')\n",
	})
	wheels := filepath.Join(s.dir, "wheels")
	wheel(t, wheels, "greetings", "1.0")
	offline := []string{"env", "-u", "VIRTUAL_ENV", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=" + wheels, "UV_NO_INDEX=1", "UV_FIND_LINKS=" + wheels}
	s.start(offline...)
	if job, out := s.told(); job.Status != "finished" || !strings.Contains(out, "waiting for the environment of requirements.txt, which is being prepared with ") || !strings.Contains(out, "greetings 1.0\n") {
		t.Errorf("the first job: %s %+v, %s", job.Status, job.Failure, out)
	}
	if job, out := s.told(); job.Status != "finished" || out != "greetings 1.0\n" {
		t.Errorf("the second job: %s %+v, %s", job.Status, job.Failure, out)
	}
	if text := s.doctor(); !strings.Contains(text, "✓ environment ") {
		t.Errorf("doctor: %s", text)
	}

	s.write("requirements.txt", "greetings==9.9\n")
	s.poll("the file is found broken", func() bool { return strings.Contains(s.log(), "cannot be prepared") })
	if job, out := s.told(); job.Status != "finished" || !strings.Contains(out, "an earlier requirements.txt") || !strings.Contains(out, "greetings==9.9") || !strings.Contains(out, "greetings 1.0\n") {
		t.Errorf("with a broken file: %s %+v, %s", job.Status, job.Failure, out)
	}
	if text := s.doctor(); !strings.Contains(text, "! environment ") || !strings.Contains(text, "greetings==9.9") {
		t.Errorf("doctor: %s", text)
	}

	// The next one hangs in the middle, and the server is killed.
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		http.NotFound(w, r)
	}))
	t.Cleanup(index.Close)
	s.write("requirements.txt", "greetings==1.0\nslow @ "+index.URL+"/slow-1.0-py3-none-any.whl\n")
	<-arrived
	s.kill()
	close(release)
	s.noProcessLeft()
	s.start(offline...)
	if job, out := s.told(); job.Status != "finished" || !strings.Contains(out, "an earlier requirements.txt") || !strings.Contains(out, "greetings 1.0\n") {
		t.Errorf("after kill -9: %s %+v, %s", job.Status, job.Failure, out)
	}
	records, err := filepath.Glob(filepath.Join(s.dir, ".distro", "environments", "*", "distro.json"))
	if err != nil || len(records) != 1 {
		t.Errorf("environments that count: %q, %v", records, err)
	}
	s.stop()
}

// doctor is what `distro doctor` says of a server's settings.
func (s *server) doctor() string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "env", "-u", "VIRTUAL_ENV", "distro", "doctor", "--config", filepath.Join(s.dir, "config.cfg"))
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() != 1 { // 1 where somebody else has the default ports
		s.t.Fatal(err)
	}
	return string(text)
}

func TestAWorkerInstallsWhatItsModulesNeedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	modules, wheels := filepath.Join(s.dir, "modules"), filepath.Join(s.dir, "wheels")
	wheel(t, wheels, "greetings", "1.0")
	distro, err := exec.LookPath("distro")
	if err != nil {
		t.Fatal(err)
	}
	launcher := "#!/bin/sh\nexport XDG_CACHE_HOME=" + s.dir + "/cache PIP_NO_INDEX=1 PIP_FIND_LINKS=" + wheels +
		" UV_NO_INDEX=1 UV_FIND_LINKS=" + wheels + "\nexec " + distro + " \"$@\"\n"
	for path, text := range map[string]string{
		"modules/needs.py": needs, "modules/requirements.txt": "greetings\n", "launcher": launcher,
	} {
		if err := os.MkdirAll(modules, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, path), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const produce = "import os, sys, redis, rq; rq.Queue(connection=redis.Redis.from_url(os.environ['REDIS_URL'])).enqueue('needs.version', job_id=sys.argv[1])"
	for round, id := range []string{"first", "second"} {
		s.stock.Run(t, s.url, produce, id)
		worker := s.startDistro(filepath.Join(s.dir, "launcher"), id, "--install", "--modules", modules, "--burst")
		s.ends(worker)
		out := worker.Output()
		if !strings.Contains(out, "greetings 1.0\n") {
			t.Errorf("%s: %s", id, out)
		}
		if waited := strings.Contains(out, id+": waiting for the environment of requirements.txt"); waited != (round == 0) {
			t.Errorf("%s: waited: %v\n%s", id, waited, out)
		}
	}
}
