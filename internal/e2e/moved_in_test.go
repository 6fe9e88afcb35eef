package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

const (
	guide     = "docs/from-the-original.md"
	guideInPT = "docs/from-the-original.pt-BR.md"
)

// guideStep is a part of the guide with commands: those that go forward, and
// the way back, which may be missing.
type guideStep struct {
	title, forward, back string
}

// guideSteps are those of a guide, in order.
func guideSteps(t *testing.T, name string) []guideStep {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	var steps []guideStep
	for part := range strings.SplitSeq(string(text), "\n## ") {
		title, rest, _ := strings.Cut(part, "\n")
		found := fenced("sh", rest)
		switch len(found) {
		case 0:
			continue
		case 1:
			steps = append(steps, guideStep{title: title, forward: found[0]})
		case 2:
			steps = append(steps, guideStep{title: title, forward: found[0], back: found[1]})
		default:
			t.Fatalf("%s: %q has %d blocks of commands: one goes forward, one back", name, title, len(found))
		}
	}
	return steps
}

// fenced are the blocks of a kind in a text.
func fenced(kind, text string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func TestTheGuidesFromTheOriginalHaveTheSameCommandsInBothLanguages(t *testing.T) {
	t.Parallel()
	english, portuguese := guideSteps(t, guide), guideSteps(t, guideInPT)
	for _, steps := range [][]guideStep{english, portuguese} {
		for i := range steps {
			steps[i].title, _, _ = strings.Cut(steps[i].title, ".")
		}
		steps[len(steps)-1].title = "all the way back"
	}
	if diff := cmp.Diff(english, portuguese, cmp.AllowUnexported(guideStep{})); diff != "" {
		t.Errorf("commands (-English +Portuguese):\n%s", diff)
	}
	settings := map[string][]string{}
	for _, name := range []string{guide, guideInPT} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		settings[name] = fenced("ini", string(text))
	}
	if diff := cmp.Diff(settings[guide], settings[guideInPT]); diff != "" || len(settings[guide]) != 2 {
		t.Errorf("settings (-English +Portuguese):\n%s", diff)
	}
	for _, text := range settings[guide] {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.cfg"), []byte("modules_path = .\nauth_token = 0123456789abcdef\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("distro", "doctor", "--json")
		cmd.Dir = dir
		out, _ := cmd.Output() // ports may be taken, which is not what is asked
		if !bytes.Contains(out, []byte(`"settings","status":"ok"`)) || bytes.Contains(out, []byte(`"access","status":"failed"`)) {
			t.Errorf("these settings are refused:\n%s\n%s", text, out)
		}
	}
}

const (
	movedJobs    = 1000
	movedBatches = 100
)

// producer is a program with RQ's own client: for each token of the list
// "test:go" it enqueues a batch.
const producer = `
import os, redis, rq, sys
r = redis.Redis.from_url(os.environ["REDIS_URL"])
queues = [rq.Queue(name, connection=r) for name in ("default", "high")]
jobs, batches = int(sys.argv[1]), int(sys.argv[2])
for batch in range(batches):
    r.blpop("test:go")
    for n in range(jobs // batches):
        number = batch * (jobs // batches) + n
        queues[number % 2].enqueue("writes.once", sys.argv[3], job_id="job-%d" % number)
`

const writes = `
import os

def once(path):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, (os.environ["RQ_JOB_ID"] + "\n").encode())
    os.close(file)
`

// installation is one of the Python original: a Redis with workers of RQ's, the
// folder of its settings and automations, and what leads the guide's commands
// there.
type installation struct {
	*site
	folder string
	place  *strings.Replacer
	path   string // of commands
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{site: newSite(t, redistest.Options{Args: []string{"--databases", "2"}})}
	in.folder = filepath.Join(in.dir, "original")
	in.url = strings.TrimSuffix(in.redis.URL(), "/0") + "/1"
	bin := filepath.Join(in.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(in.stock.Python(), filepath.Join(bin, "python3")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"original/config.cfg":                   "[DEFAULT]\ntask_retries: 3\nmodules_path: automations\npostgre_url:\n",
		"original/automations/__init__.py":      "",
		"original/automations/requirements.txt": "rq==1.15.1\n",
		"original/automations/hello_world.py":   "def send_hello_world():\n    print('Hello World!')\n",
		"original/automations/writes.py":        writes,
		"bin/rq":                                "#!/bin/sh\nexec " + in.stock.Python() + " -m rq.cli \"$@\"\n",
	} {
		file := filepath.Join(in.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var ports []any
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all are open at a time, so that they differ
		ports = append(ports, l.Addr().String())
	}
	api := fmt.Sprint("http://", ports[0])
	in.place = strings.NewReplacer(
		"redis://127.0.0.1:6379/1", in.url, "127.0.0.1:7000", fmt.Sprint(ports[0]), "127.0.0.1:9181", fmt.Sprint(ports[1]), "127.0.0.1:9182", fmt.Sprint(ports[2]),
		"sleep 1;", "sleep 0.2;", "distro workers", "distro workers --server "+api, "distro queues", "distro queues --server "+api,
		"distro suspend", "distro suspend --server "+api, "distro resume", "distro resume --server "+api,
	)
	in.path = bin + string(filepath.ListSeparator) + os.Getenv("PATH")
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(in.folder, "*.log"))
			for _, name := range logs {
				text, _ := os.ReadFile(name)
				t.Logf("%s:\n%s", filepath.Base(name), text[max(len(text)-4000, 0):])
			}
		}
	})
	return in
}

// run runs commands as they stand in the guide, in the folder of the settings.
// What they start in the background ends with the test.
func (in *installation) run(title, commands string) {
	in.t.Helper()
	cmd := exec.Command("sh", "-eu", "-c", in.place.Replace(commands))
	cmd.Dir = in.folder
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "DISTRO_") || strings.HasPrefix(entry, "RQ_") || strings.HasPrefix(entry, "PYTHON") || strings.HasPrefix(entry, "PATH=")
	})
	cmd.Env = append(cmd.Env, "PATH="+in.path, "LC_ALL=C.UTF-8", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "HOME="+in.dir, "STARTED_IN="+in.dir+"/")
	p := proctest.Start(in.t, cmd)
	ctx, cancel := context.WithTimeout(in.t.Context(), 2*time.Minute) // machines differ, and other tests run beside
	defer cancel()
	err := p.Wait(ctx)
	in.t.Logf("%s:\n%s%s", title, commands, p.Output())
	if err != nil {
		in.t.Fatalf("%s: %v", title, err)
	}
}

// TestTheGuideFromTheOriginalWorksAsWritten follows it to its end and all the way
// back, on a Redis where workers of RQ's run what RQ's own client enqueues all the
// while. It puts its own ports and Redis in the place of the guide's, has the command
// line told of them, and waits in smaller steps.
func TestTheGuideFromTheOriginalWorksAsWritten(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	for name, queues := range map[string]string{"servidor01": "high default low", "servidor02": "low default"} {
		in.run("the original's "+name, "cd automations\nrq worker --with-scheduler --url redis://127.0.0.1:6379/1 --name "+name+" "+queues+
			" >../"+name+".log 2>&1 &\necho $! >"+name+".pid\n")
		in.await(name+" is there", func() bool { return in.do("HGET", "rq:worker:"+name, "state") == "idle" })
	}
	runs := filepath.Join(in.dir, "runs")
	program := exec.Command(in.stock.Python(), "-c", producer, strconv.Itoa(movedJobs), strconv.Itoa(movedBatches), runs)
	program.Env = append(os.Environ(), "REDIS_URL="+in.url, "PYTHONPATH=")
	enqueues := proctest.Start(t, program)

	steps, sent := guideSteps(t, guide), 0
	if len(steps) < 10 {
		t.Fatalf("the guide has %d steps with commands", len(steps))
	}
	send := func(batches int) {
		for range batches {
			sent++
			in.do("RPUSH", "test:go", "on")
		}
	}
	steps, last := steps[:len(steps)-1], steps[len(steps)-1]
	for i, step := range steps {
		send(1)
		if strings.Contains(step.forward, "distro suspend") { // a worker of RQ's is ended while jobs wait, and not as they come
			in.await("the batch is there", func() bool {
				return in.do("EXISTS", fmt.Sprintf("rq:job:job-%d", sent*movedJobs/movedBatches-1)) == int64(1)
			})
		}
		in.run(step.title, step.forward)
		if strings.Contains(step.forward, "pool") { // a worker for many: one for each step that follows is left
			send(movedBatches - sent - 2*len(steps) + i + 1)
		}
	}
	for _, step := range slices.Backward(steps) {
		send(1)
		if step.back != "" {
			in.run(step.title+", back", step.back)
		}
	}
	if err := enqueues.Wait(t.Context()); err != nil {
		t.Fatalf("the producer: %v: %s", err, enqueues.Output())
	}
	in.awaitAll(movedJobs)
	in.run(last.title, last.forward)
	in.checkMovedOut()
	in.checkRuns(movedJobs)
	if n := len(in.runs()); n != movedJobs {
		t.Errorf("%d jobs left their IDs, want %d", n, movedJobs)
	}
}

// awaitAll waits until each of the producer's jobs has ended.
func (in *installation) awaitAll(count int) {
	in.t.Helper()
	next := 0
	c := in.redis.Conn(in.t, in.url)
	defer func() {
		if next < count {
			in.t.Logf("job-%d has not finished: %q", next, c.Do("HGETALL", fmt.Sprintf("rq:job:job-%d", next)))
		}
	}()
	in.await("all jobs have finished", func() bool {
		for next < count && c.Do("HGET", fmt.Sprintf("rq:job:job-%d", next), "status") == "finished" {
			next++
		}
		return next == count
	})
}

// checkMovedOut checks that nothing of Distro's is left, and that the original's
// worker runs jobs.
func (in *installation) checkMovedOut() {
	in.t.Helper()
	if left, _ := in.do("KEYS", "distro:*").([]any); len(left) > 0 {
		in.t.Errorf("keys of Distro's are left: %v", left)
	}
	if status := in.do("HGET", "rq:job:job-0", "status"); status != "finished" {
		in.t.Errorf("job-0 is %v", status)
	}
	in.await("servidor01 is there", func() bool { return in.do("HGET", "rq:worker:servidor01", "state") == "idle" })
	in.stock.Run(in.t, in.url, `import os, redis, rq
rq.Queue("low", connection=redis.Redis.from_url(os.environ["REDIS_URL"])).enqueue("hello_world.send_hello_world", job_id="last")`)
	in.awaitStatus("last", "finished")
}
