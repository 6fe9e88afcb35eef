//go:build linux

package python_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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

// fakeUV stands for uv: it makes real environments, without pip, and takes
// NAME==VERSION for a module NAME with that version. A line "slow" tells the
// file started, and waits for somebody to open the pipe go; "broken" is refused.
const fakeUV = `
env > "$FAKE/environ"
case "$1" in
venv)
	echo made >> "$FAKE/made"
	exec "$3" -I -m venv --without-pip "$4" ;;
pip)
	site=$(echo "${4%/bin/python}"/lib/python*/site-packages)
	while read -r line; do
		case "$line" in
		slow) : > "$FAKE/started"; read -r _ < "$FAKE/go" ;;
		broken) echo "error: nothing at https://me:hunter2@example.org/simple is broken" >&2; echo bye >&2; exit 1 ;;
		*==*) echo "version = '${line#*==}'" > "$site/${line%==*}.py" ;;
		esac
	done < "$6" ;;
esac
`

// site is a folder of modules with requirements, and how Environments run over
// it.
type site struct {
	t       *testing.T
	dir     string
	modules string
	fake    string
	opts    python.Options
	env     python.EnvironmentOptions
	seq     int
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "v")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{t: t, dir: dir, modules: filepath.Join(dir, "m"), fake: filepath.Join(dir, "fake")}
	script(t, filepath.Join(s.fake, "bin", "uv"), fakeUV)
	if err := syscall.Mkfifo(filepath.Join(s.fake, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write("job.py", "import sys\n\ndef version():\n    import pkg\n    return pkg.version\n\ndef prefix():\n    return sys.prefix\n\ndef zygote():\n    import os\n    return str(os.getppid())\n\n"+
		"def stay(ready, go):\n    import os, time, pkg\n    open(ready, 'w').close()\n    while not os.path.exists(go):\n        time.sleep(0.01)\n    import late\n    return pkg.version + late.version\n")
	s.opts = python.Options{
		Interpreter: findPython(t), Modules: s.modules, StateDir: filepath.Join(dir, "s"), Slots: 2, KillGrace: time.Second,
		Environ: append(os.Environ(), "PATH="+filepath.Join(s.fake, "bin")+":"+os.Getenv("PATH"), "FAKE="+s.fake),
	}
	s.env = python.EnvironmentOptions{Dir: filepath.Join(dir, "s", "environments"), LookEvery: 20 * time.Millisecond, Retry: time.Hour}
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.modules, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}

// service is a running Environments.
type service struct {
	*site
	environments *python.Environments
	log          *logLines
	end          func()
}

func (s *site) start() *service {
	s.t.Helper()
	v := &service{site: s, log: newLogLines()}
	opts := s.opts
	opts.Logger = slog.New(slog.NewTextHandler(v.log, nil))
	e, err := python.NewEnvironments(opts, s.env)
	if err != nil {
		s.t.Fatal(err)
	}
	v.environments = e
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	v.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
		if s.t.Failed() {
			s.t.Logf("log:\n%s", v.log)
		}
	})
	s.t.Cleanup(v.end)
	return v
}

// begin starts an attempt and returns what it is told.
func (v *service) begin(function, args string) (*started, <-chan string) {
	v.t.Helper()
	v.seq++
	notes := make(chan string, 10)
	if args == "" {
		args = "[], {}"
	}
	call := python.Call{
		JobID: fmt.Sprintf("job-%d", v.seq), Queue: "default", Worker: "tester", Attempt: 1, Timeout: time.Minute,
		Payload:   distro.Payload{Serializer: distro.SerializerJSON, Data: fmt.Appendf(nil, "[%q, null, %s]", function, args)},
		Artifacts: fmt.Sprintf("a%d", v.seq), Note: func(line string) { notes <- line },
	}
	a := &started{Attempt: v.environments.Attempt(call, func(bool, []byte) {}), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		defer close(notes)
		a.result = a.Run(v.t.Context())
	}()
	return a, notes
}

// run runs a job to its end and returns its value, and what it was told.
func (v *service) run(function string) (view string, told []string) {
	v.t.Helper()
	a, notes := v.begin(function, "")
	<-a.Done()
	for line := range notes {
		told = append(told, line)
	}
	if f := a.Result().Failure; f != nil {
		return f.Message, told
	}
	var text string
	if err := json.Unmarshal([]byte(a.Result().View.Text), &text); err != nil {
		v.t.Errorf("%s returned %q: %v", function, a.Result().View.Text, err)
	}
	return text, told
}

// logLines is a log that can be waited for.
type logLines struct {
	mu   sync.Mutex
	more sync.Cond
	text bytes.Buffer
}

func newLogLines() *logLines {
	l := &logLines{}
	l.more.L = &l.mu
	return l
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.more.Broadcast()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until the log has a text so often.
func (l *logLines) await(text string, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for strings.Count(l.text.String(), text) < times {
		l.more.Wait()
	}
}

// proceed lets a slow preparation go on.
func (s *site) proceed() {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.fake, "go"), []byte("on\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// prepared are the folders of environments.
func (s *site) prepared() []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.env.Dir, "*", "distro.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	for i, path := range found {
		found[i] = filepath.Dir(path)
	}
	return found
}

func TestTheFirstJobsWaitForTheEnvironmentAndAreTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "pkg==1.5\nslow\n")
	v := s.start()
	a, notes := v.begin("job.version", "")
	b, told := v.begin("job.version", "")
	for _, c := range []<-chan string{notes, told} {
		if got, want := <-c, "waiting for the environment of requirements.txt, which is being prepared with uv"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	b.Stop(distro.FailureStopped, 0)
	if <-b.Done(); b.Result().Outcome != distro.OutcomeStopped {
		t.Errorf("stopped while it waited: %+v", b.Result())
	}
	waitForFile(t, filepath.Join(s.fake, "started"))
	if found := s.prepared(); len(found) > 0 {
		t.Errorf("taken for prepared in the middle: %q", found)
	}
	s.proceed()
	if <-a.Done(); a.Result().View.Text != `"1.5"` {
		t.Errorf("%q, %+v", a.Result().View.Text, a.Result().Failure)
	}
	if view, told := v.run("job.version"); view != "1.5" || told != nil {
		t.Errorf("the next job returned %q and was told %q", view, told)
	}
	prefix, _ := v.run("job.prefix")
	if diff := cmp.Diff([]string{prefix}, s.prepared()); diff != "" {
		t.Error(diff)
	}
}

func TestABrokenFileKeepsTheLastGoodEnvironmentAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "pkg==1\n")
	v := s.start()
	if view, _ := v.run("job.version"); view != "1" {
		t.Fatalf("%q", view)
	}
	s.write("requirements.txt", "pkg==2\nbroken\n")
	v.log.await("cannot be prepared", 1)
	want := []string{"this runs in the environment of an earlier requirements.txt: that of the present one cannot be prepared: " +
		"run uv pip install --python -r requirements.txt: exit status 1: error: nothing at https://***@example.org/simple is broken"}
	checkKept := func(v *service) {
		t.Helper()
		view, told := v.run("job.version")
		if diff := cmp.Diff(want, told); diff != "" || view != "1" {
			t.Errorf("%q, %s", view, diff)
		}
	}
	checkKept(v)
	if strings.Contains(v.log.String(), "hunter2") {
		t.Error("a password is in the log")
	}
	v.end()
	v = s.start() // another process, which finds the good one
	v.log.await("cannot be prepared", 1)
	checkKept(v)
	state, err := python.InspectEnvironment(t.Context(), s.opts.Interpreter, s.modules, s.env.Dir, s.opts.Environ)
	if err != nil || !state.Wanted || state.Ready || !strings.Contains(state.Failed, "is broken") || state.Python == "" {
		t.Errorf("%+v, %v", state, err)
	}
	printed, err := os.ReadFile(state.Log)
	if err != nil || !strings.Contains(string(printed), "bye\n") || strings.Contains(string(printed), "hunter2") {
		t.Errorf("%q, %v", printed, err)
	}
	s.write("requirements.txt", "pkg==3\n")
	v.log.await("is prepared", 1)
	v.log.await("jobs begin on another interpreter", 1)
	if view, told := v.run("job.version"); view != "3" || told != nil {
		t.Errorf("%q, told %q", view, told)
	}
	state, err = python.InspectEnvironment(t.Context(), s.opts.Interpreter, s.modules, s.env.Dir, s.opts.Environ)
	if err != nil || !state.Ready || state.Failed != "" || filepath.Dir(filepath.Dir(state.Python)) != s.prepared()[0] {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestWithoutAGoodEnvironmentJobsRunOnTheInterpreterAndAreTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "broken\n")
	v := s.start()
	v.log.await("cannot be prepared", 1)
	view, told := v.run("job.version")
	if len(told) != 1 || !strings.HasPrefix(told[0], "this runs on "+s.opts.Interpreter.Path+" without the packages of requirements.txt: their environment cannot be prepared: ") {
		t.Errorf("told %q", told)
	}
	if view != "No module named 'pkg'" {
		t.Errorf("%q", view)
	}
	s.write("requirements.txt", "# nothing\n")
	for told != nil { // until the change was seen
		_, told = v.run("job.prefix")
	}
	if found := s.prepared(); len(found) > 0 {
		t.Errorf("prepared %q", found)
	}
}

func TestARunningJobEndsInItsEnvironmentWhichIsRemovedThen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "pkg==1\nlate==old\n")
	v := s.start()
	first, _ := v.run("job.prefix")
	ready, proceed := filepath.Join(s.dir, "ready"), filepath.Join(s.dir, "proceed")
	a, _ := v.begin("job.stay", fmt.Sprintf("[%q, %q], {}", ready, proceed))
	waitForFile(t, ready)
	s.write("requirements.txt", "pkg==2\nlate==new\n")
	v.log.await("jobs begin on another interpreter", 2)
	second := first
	for second == first { // the change is announced right behind the log
		second, _ = v.run("job.prefix")
	}
	if _, err := os.Stat(first); err != nil {
		t.Errorf("removed while a job runs in it: %v", err)
	}
	killed, _ := v.run("job.zygote") // what ends with it is not the other's
	pid, err := strconv.Atoi(killed)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	v.log.await("the Python process that starts jobs ended", 1)
	after := killed
	for after == killed { // a process of the dead one may still be taken
		after, _ = v.run("job.zygote")
	}
	if err := os.WriteFile(proceed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if <-a.Done(); a.Result().View.Text != `"1old"` {
		t.Errorf("%q, %+v", a.Result().View.Text, a.Result().Failure)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, err := os.Stat(first); err == nil; _, err = os.Stat(first) {
		<-tick.C
	}
	if diff := cmp.Diff([]string{second}, s.prepared()); diff != "" {
		t.Error(diff)
	}
	v.end()
	left, err := os.ReadDir(filepath.Join(s.opts.StateDir, "gen"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestEveryIsolationRunsInTheEnvironment(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "pkg==1\n")
	for _, isolation := range []python.Isolation{python.Fork, python.Pool, python.Spawn} {
		s.opts.Isolation = isolation
		v := s.start()
		if got := v.environments.Isolation(); got != isolation {
			t.Errorf("isolation %q before anything runs, want %q", got, isolation)
		}
		for range 2 {
			if view, _ := v.run("job.version"); view != "1" {
				t.Errorf("%s: %q", isolation, view)
			}
		}
		v.end()
	}
}

func TestAPreparationThatIsCutOffLeavesNothingThatCounts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "pkg==1\nslow\n")
	v := s.start()
	waitForFile(t, filepath.Join(s.fake, "started"))
	v.end()
	entries, err := os.ReadDir(s.env.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			t.Errorf("left: %s", entry.Name())
		}
	}
	if err := python.EndLeftovers(t.Context(), s.opts.StateDir); err != nil {
		t.Error(err)
	}
}

func TestWhatAKilledProcessLeftIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "pkg==1\n")
	v := s.start()
	home, _ := v.run("job.prefix")
	v.end()
	// As after kill -9 in the middle: all but what is written last.
	if err := os.Remove(filepath.Join(home, "distro.json")); err != nil {
		t.Fatal(err)
	}
	sites, err := filepath.Glob(filepath.Join(home, "lib", "python*", "site-packages", "pkg.py"))
	if err != nil || len(sites) != 1 {
		t.Fatal(sites, err)
	}
	if err := os.WriteFile(sites[0], []byte("version = 'half'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v = s.start()
	if view, _ := v.run("job.version"); view != "1" {
		t.Errorf("%q", view)
	}
	if made, err := os.ReadFile(filepath.Join(s.fake, "made")); err != nil || string(made) != "made\nmade\n" {
		t.Errorf("%q, %v", made, err)
	}
}

func TestProcessesThatShareAFolderPrepareOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "pkg==1\nslow\n")
	first := s.start()
	waitForFile(t, filepath.Join(s.fake, "started"))
	s.opts.StateDir = filepath.Join(s.dir, "other")
	second := s.start()
	_, notes := second.begin("job.version", "")
	<-notes
	s.proceed()
	for _, v := range []*service{first, second} {
		if view, _ := v.run("job.version"); view != "1" {
			t.Errorf("%q", view)
		}
	}
	if made, err := os.ReadFile(filepath.Join(s.fake, "made")); err != nil || string(made) != "made\n" {
		t.Errorf("%q, %v", made, err)
	}
	first.end()
	if len(s.prepared()) != 1 {
		t.Error("removed while another process uses it")
	}
}

func TestIncludedFilesAndLocalPackagesCount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	state := func() python.EnvironmentState {
		t.Helper()
		state, err := python.InspectEnvironment(t.Context(), s.opts.Interpreter, s.modules, s.env.Dir, s.opts.Environ)
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	if got := state(); got != (python.EnvironmentState{}) {
		t.Errorf("without a file: %+v", got)
	}
	s.write("requirements.txt", "-r more/base.txt\n--constraint=limits.txt\n./wheels/own-1.whl\n")
	s.write("more/base.txt", "pkg==1 # one\n-r ../requirements.txt\n")
	s.write("limits.txt", "")
	s.write("wheels/own-1.whl", "one")
	v := s.start()
	v.run("job.prefix")
	if !state().Ready {
		t.Fatal("not ready")
	}
	for name, text := range map[string]string{"more/base.txt": "pkg==2\n", "limits.txt": "pkg<2\n", "wheels/own-1.whl": "two"} {
		before, err := os.ReadFile(filepath.Join(s.modules, name))
		if err != nil {
			t.Fatal(err)
		}
		v.end() // it would follow the changes
		s.write(name, text)
		if state().Ready {
			t.Errorf("a change of %s is not seen", name)
		}
		s.write(name, string(before))
		if !state().Ready {
			t.Errorf("the change back of %s is not seen", name)
		}
	}
}

func TestToolsGetTheUsersEnvironmentWithoutTheNamesOfDistro(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("requirements.txt", "pkg==1\n")
	s.opts.Environ = append(s.opts.Environ, "DISTRO_AUTH_TOKEN=0123456789abcdef", "PIP_INDEX_URL=https://pip.example.org", "https_proxy=http://proxy:3128", "PIP_USER=1")
	v := s.start()
	v.run("job.prefix")
	environ, err := os.ReadFile(filepath.Join(s.fake, "environ"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"PIP_INDEX_URL=https://pip.example.org": true, "https_proxy=http://proxy:3128": true, "PIP_NO_INPUT=1": true,
		"0123456789abcdef": false, "DISTRO_AUTH": false, "PIP_USER": false,
	} {
		if strings.Contains(string(environ), text) != want {
			t.Errorf("%s: %v, want %v", text, !want, want)
		}
	}
}
