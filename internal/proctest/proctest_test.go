package proctest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro/internal/proctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(script string) *exec.Cmd { return exec.Command("sh", "-c", script) }

// fatal records the failure that it is told of, and unwinds by a panic.
type fatal struct {
	*testing.T
	text string
}

func (f *fatal) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	panic(f.text)
}

// failure is how a test fails that does something.
func failure(t *testing.T, does func(t proctest.TB)) string {
	t.Helper()
	fake := &fatal{T: t}
	func() {
		defer func() { _ = recover() }()
		does(fake)
	}()
	return fake.text
}

func TestWhatAProcessWritesIsAwaited(t *testing.T) {
	t.Parallel()
	cmd := shell("echo one; read line; echo $line >&2; read line; echo end")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := proctest.Start(t, cmd)
	p.Await(t, "one\n")
	for _, line := range []string{"two\n", "three\n"} {
		if p.Ended() {
			t.Fatalf("it ended before it could read:\n%s", p.Output())
		}
		if _, err := io.WriteString(in, line); err != nil {
			t.Fatal(err)
		}
	}
	p.Await(t, "end\n")
	if err := p.Wait(t.Context()); err != nil || !p.Ended() || p.ExitCode() != 0 {
		t.Errorf("it ended %t with %v, status %d", p.Ended(), err, p.ExitCode())
	}
	if got, want := p.Output(), "one\ntwo\nend\n"; got != want {
		t.Errorf("it wrote %q, want %q", got, want)
	}
	p.Await(t, "two") // it wrote that once
}

func TestWhatAProcessOwnsStaysItsOwn(t *testing.T) {
	t.Parallel()
	cmd, stdout := shell("echo own; echo other >&2"), &strings.Builder{}
	cmd.Stdout = stdout
	p := proctest.Start(t, cmd)
	if err := p.Wait(t.Context()); err != nil || stdout.String() != "own\n" || p.Output() != "other\n" {
		t.Errorf("%v; standard output is %q, the transcript %q", err, stdout, p.Output())
	}
}

func TestAFailureSaysWhatWasWrittenInstead(t *testing.T) {
	t.Parallel()
	text := failure(t, func(t proctest.TB) { proctest.Start(t, shell("echo why; exit 3")).Await(t, "because") })
	if !strings.Contains(text, `ended before it wrote "because": exit status 3`) || !strings.HasSuffix(text, "\nwhy\n") {
		t.Errorf("of a process that ended: %s", text)
	}
	p := proctest.Start(t, shell("echo why; exec sleep 1000"))
	p.Await(t, "why")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wrote(ctx, "because"); !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), "\nwhy\n") {
		t.Errorf("of a process that runs: %v", err)
	}
	if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for its end: %v", err)
	}
	if text := failure(t, func(t proctest.TB) { proctest.Start(t, exec.Command("/nowhere/program")) }); !strings.Contains(text, "/nowhere/program") {
		t.Errorf("of a program that is not there: %s", text)
	}
}

func TestAProcessEndsAsItIsAsked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		end    func(p *proctest.Process, t *testing.T)
		status int
		said   string
	}{
		{"SIGTERM", func(p *proctest.Process, t *testing.T) { t.Helper(); p.Stop(t) }, 3, "ready\nterm\n"},
		{"SIGINT", func(p *proctest.Process, t *testing.T) { t.Helper(); p.Interrupt(t) }, 4, "ready\nint\n"},
		{"SIGKILL", func(p *proctest.Process, _ *testing.T) { p.Kill() }, -1, "ready\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := proctest.Start(t, shell(`
				trap 'echo term; exit 3' TERM
				trap 'echo int; exit 4' INT
				echo ready
				sleep 1000 >/dev/null 2>&1 & wait`))
			p.Await(t, "ready")
			test.end(p, t)
			if !p.Ended() || p.ExitCode() != test.status || p.Output() != test.said {
				t.Errorf("it ended %t with status %d and wrote %q, want %d and %q", p.Ended(), p.ExitCode(), p.Output(), test.status, test.said)
			}
			var exit *exec.ExitError
			if err := p.Wait(t.Context()); !errors.As(err, &exit) {
				t.Errorf("its end is %v", err)
			}
			p.Stop(t) // again, and of what has ended
			p.Kill()
		})
	}
}
