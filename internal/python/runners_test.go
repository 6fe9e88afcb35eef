package python_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

// bundle is a running set of runners over a folder of modules.
type bundle struct {
	t       *testing.T
	dir     string
	runners *python.Runners
	seq     int
}

func setup(t *testing.T, change func(*python.Options)) *bundle {
	t.Helper()
	interp, err := python.FindInterpreter(t.Context(), python.InterpreterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	opts := python.Options{
		Interpreter: interp, Modules: filepath.Join(dir, "m"), StateDir: filepath.Join(dir, "s"),
		Slots: 2, KillGrace: time.Second, Environ: os.Environ(),
	}
	if change != nil {
		change(&opts)
	}
	for _, d := range []string{opts.Modules, opts.StateDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r, err := python.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &bundle{t: t, dir: opts.Modules, runners: r}
}

func (b *bundle) write(name, source string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// printed gathers the output of an attempt.
type printed struct {
	mu       sync.Mutex
	out, err strings.Builder
}

func (p *printed) take(stderr bool, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stderr {
		p.err.Write(b)
	} else {
		p.out.Write(b)
	}
}

// started is an attempt that runs beside the test.
type started struct {
	*python.Attempt
	done   chan struct{}
	result distro.Result
}

func (s *started) Done() <-chan struct{} { return s.done }
func (s *started) Result() distro.Result { return s.result }

func begin(t *testing.T, r *python.Runners, call python.Call, out python.Output) *started {
	s := &started{Attempt: r.Attempt(call, out), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.result = s.Run(t.Context())
	}()
	return s
}

func (b *bundle) start(function, args string, timeout time.Duration, out python.Output) *started {
	b.seq++
	if args == "" {
		args = "[], {}"
	}
	return begin(b.t, b.runners, python.Call{
		JobID: fmt.Sprintf("job-%d", b.seq), Queue: "default", Worker: "tester", Attempt: 1, Timeout: timeout,
		Payload:   distro.Payload{Serializer: distro.SerializerJSON, Data: fmt.Appendf(nil, "[%q, null, %s]", function, args)},
		Artifacts: fmt.Sprintf("a%d", b.seq),
	}, out)
}

func (b *bundle) run(function, args string) (distro.Result, *printed) {
	b.t.Helper()
	var p printed
	a := b.start(function, args, time.Minute, p.take)
	select {
	case <-a.Done():
	case <-time.After(time.Minute):
		b.t.Fatal("the attempt does not end")
	}
	return a.Result(), &p
}

func TestAJobRunsAndAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.write("hello.py", "def hi(name, n=1):\n    print('olá', name)\n    return {'n': n, 'name': name}\n")
	r, out := b.run("hello.hi", `["zé"], {"n": 3}`)
	if r.Outcome != distro.OutcomeFinished || r.View.Text != `{"n": 3, "name": "zé"}` {
		t.Fatalf("result %+v %+v", r, r.Failure)
	}
	if got := out.out.String(); got != "olá zé\n" {
		t.Errorf("printed %q, stderr %q", got, out.err.String())
	}
}
