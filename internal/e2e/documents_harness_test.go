package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/pgtest"
	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// fence is a fenced block of a document.
type fence struct {
	line int
	kind string // its first word: sh, output, json …
	how  string // the second; see the constants
	text string
}

// What may stand behind "sh" at the begin of a block.
const (
	runs      = ""          // is run, and succeeds
	fails     = "fails"     // is run, and does not
	serves    = "serves"    // is a service: it runs until the document ends, or the next one of its kind begins
	stopped   = "stopped"   // is run while "distro up" is stopped, which is started again behind it
	elsewhere = "elsewhere" // needs Docker, root or another machine: it is not run
)

func fences(t *testing.T, name string) []fence {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	var found []fence
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*) ?(\\w*)\n(.*?)^```$").FindAllSubmatchIndex(text, -1) {
		part := func(i int) string { return string(text[m[2*i]:m[2*i+1]]) }
		found = append(found, fence{line: 1 + bytes.Count(text[:m[0]], []byte{'\n'}), kind: part(1), how: part(2), text: part(3)})
	}
	return found
}

// reader is somebody who does what a document says: in a folder of their own,
// with the programs it names on PATH, and on ports and databases of the test's
// in place of those it names.
type reader struct {
	*server
	name     string
	folder   string
	env      []string
	there    *strings.Replacer // what the document names → what the test has
	back     *strings.Replacer
	services map[string]*service // by their first two words
	output   string              // of the block that ran last
}

// service is a process of a block that serves.
type service struct {
	block   fence
	process *proctest.Process
}

// need is what a document uses beside Distro and Python.
type need struct{ redis, postgres bool }

// Addresses that documents use for what a reader has.
const (
	documentedRedis    = "redis://127.0.0.1:6379/1"
	documentedPostgres = "postgresql://distro:PASSWORD@127.0.0.1:5432/distro"
)

func newReader(t *testing.T, name string, needs need) *reader {
	t.Helper()
	r := &reader{server: newServer(t, "", nil), name: name, services: map[string]*service{}}
	r.folder = filepath.Join(r.dir, "folder")
	programs := filepath.Join(r.dir, "programs")
	for _, dir := range []string{r.folder, programs} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	pairs := []string{"127.0.0.1:7000", host(r.url), "127.0.0.1:9181", host(r.pages)}
	path := os.Getenv("PATH")
	if needs.redis {
		second := freePort(t)
		pairs = append(pairs, documentedRedis, redistest.Start(t, redistest.Options{AOF: true}).URL(),
			"redis://127.0.0.1:6380/1", "redis://127.0.0.1:"+second+"/0", "--port 6380", "--port "+second)
		if err := os.Symlink(redistest.FindStock(t).Python(), filepath.Join(programs, "python3")); err != nil { // the one that has rq
			t.Fatal(err)
		}
	}
	if needs.postgres {
		pairs = append(pairs, documentedPostgres, pgtest.Start(t).DB(t))
	}
	var reversed []string
	for i := 0; i < len(pairs); i += 2 {
		reversed = append(reversed, pairs[i+1], pairs[i])
	}
	r.there, r.back = strings.NewReplacer(pairs...), strings.NewReplacer(reversed...)
	distro, err := exec.LookPath("distro")
	if err != nil {
		t.Fatal(err)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatalf("curl is missing: %v", err)
	}
	for program, script := range map[string]string{
		"distro": fmt.Sprintf(onTestPorts, distro, host(r.url), host(r.pages), r.url),
		"curl":   fmt.Sprintf("exec %s -sS \"$@\"\n", curl),
	} {
		if err := os.WriteFile(filepath.Join(programs, program), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(distro, filepath.Join(programs, "rq")); err != nil {
		t.Fatal(err)
	}
	r.env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "DISTRO_") || strings.HasPrefix(entry, "RQ_") || strings.HasPrefix(entry, "PYTHON")
	})
	r.env = append(r.env, "PATH="+programs+string(os.PathListSeparator)+path, "HOME="+r.dir)
	t.Cleanup(func() {
		for _, each := range r.services {
			r.end(each)
		}
	})
	return r
}

// freePort is a port that nobody listens on, for a server that a document starts.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// onTestPorts gives commands the addresses that they would have by default.
const onTestPorts = `distro=%s
case "$1" in
up|doctor) command=$1; shift; exec "$distro" "$command" --listen %[2]s --dashboard %[3]s "$@" ;;
worker|version|dashboard|completion|help|-*) exec "$distro" "$@" ;;
workers) exec "$distro" "$@" --server %[4]s ;;
*) command=$1; shift; exec "$distro" "$command" --server %[4]s "$@" ;;
esac
`

// follow does what the document says, and reports every block that does not do
// what stands behind it. It returns how many ran.
func (r *reader) follow(blocks []fence) (ran int) {
	r.t.Helper()
	for _, block := range blocks {
		switch {
		case block.kind == "output":
			r.expect(block, matchText(block.text, r.output))
		case block.kind == "json":
			r.expect(block, matchJSON(block.text, r.output))
		case block.kind != "sh" || block.how == elsewhere:
			continue
		case block.how == serves:
			r.serve(block)
		case block.how == stopped:
			up := r.services["distro up"]
			r.end(up)
			r.run(block)
			r.serve(up.block)
		default:
			r.run(block)
		}
		ran++
		if r.t.Failed() {
			return ran // what follows rests on it
		}
	}
	return ran
}

func (r *reader) expect(block fence, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Errorf("%s:%d: %v; it was\n%s", r.name, block.line, err, r.output)
	}
}

func (r *reader) command(script string) *exec.Cmd {
	cmd := exec.CommandContext(r.t.Context(), "sh", "-eu", "-c", r.there.Replace(script))
	cmd.Dir, cmd.Env = r.folder, r.env
	return cmd
}

func (r *reader) run(block fence) {
	r.t.Helper()
	text, err := r.command(block.text).CombinedOutput()
	r.output = r.back.Replace(string(text))
	var exit *exec.ExitError
	switch {
	case block.how != runs && block.how != fails && block.how != stopped:
		r.t.Errorf("%s:%d: a block of sh cannot be %q", r.name, block.line, block.how)
	case err != nil && !errors.As(err, &exit):
		r.t.Fatal(err)
	case (err != nil) != (block.how == fails):
		r.t.Errorf("%s:%d: %v:\n%s\nsays: %s", r.name, block.line, err, block.text, r.output)
	}
}

// serve starts a block's last command, in place of the one of its kind.
func (r *reader) serve(block fence) {
	r.t.Helper()
	lines := strings.Split(strings.TrimSpace(block.text), "\n")
	last := lines[len(lines)-1]
	words := strings.Fields(regexp.MustCompile(`^(\w+=\S* )*`).ReplaceAllString(last, ""))
	kind := words[0] + " " + words[1]
	r.end(r.services[kind])
	cmd := r.command(strings.Join(append(lines[:len(lines)-1], "exec env "+last), "\n"))
	started := &service{block, r.spawn(cmd)}
	r.services[kind] = started
	if kind == "distro up" {
		r.serves(fmt.Sprintf("%s:%d", r.name, block.line), started.process, "/readyz")
	}
}

func (r *reader) end(s *service) {
	if s != nil {
		s.process.Stop(r.t)
	}
}

// matchText compares an output with what a document shows of it. Numbers and
// IDs may be others; "…" stands for anything within a line, and a line of its
// own for any lines; columns may be as wide as they are.
func matchText(shown, got string) error {
	var want strings.Builder
	for _, line := range strings.Split(strings.TrimRight(shown, "\n"), "\n") {
		if strings.TrimSpace(line) == "…" {
			want.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		want.WriteString(linePattern(line, `[\d.,:]*\d`) + "\n")
	}
	pattern := regexp.MustCompile("^" + want.String() + "$")
	if !pattern.MatchString(strings.TrimRight(got, "\n") + "\n") {
		return fmt.Errorf("the output is not\n%s", shown)
	}
	return nil
}

// linePattern is the expression for a text with "…", IDs and, if number is not
// empty, numbers.
func linePattern(text, number string) string {
	const id = `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8}-…|`
	const stamp = `\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?`
	const age, took = `\((?:now|[^()\n]* ago|in [^()\n]*)\)`, `\b\d[\d.]*(?:ms|s)\b`
	const clock = `(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d`
	parts := id + stamp + `|…|\s+`
	if number != "" {
		parts += "|" + age + "|" + took + "|" + clock + "|" + number
	}
	var b strings.Builder
	rest := strings.TrimRight(text, " ")
	for token := regexp.MustCompile(parts); rest != ""; {
		at := token.FindStringIndex(rest)
		if at == nil {
			b.WriteString(regexp.QuoteMeta(rest))
			break
		}
		b.WriteString(regexp.QuoteMeta(rest[:at[0]]))
		switch found := rest[at[0]:at[1]]; {
		case strings.Contains(found, "…"):
			b.WriteString(`[^\n]*`)
		case strings.TrimSpace(found) == "":
			b.WriteString(`[ \t]+`)
		case len(found) == 36 && !strings.ContainsAny(found, ":"):
			b.WriteString(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
		case regexp.MustCompile("^" + stamp + "$").MatchString(found):
			b.WriteString(stamp)
		case strings.HasPrefix(found, "("):
			b.WriteString(age)
		case regexp.MustCompile("^" + clock + "$").MatchString(found):
			b.WriteString(clock)
		case strings.HasSuffix(found, "s"):
			b.WriteString(`[\d.hm]*\d(?:ms|s)`)
		default:
			b.WriteString(number)
		}
		rest = rest[at[1]:]
	}
	return `[ \t]*` + b.String() + `[ \t]*`
}

// matchJSON compares an answer with what a document shows of it: the same
// members with the same kinds of values. Numbers and IDs may be others, and
// strings may have parts that are "…"; a member or an element that is "…"
// stands for any others.
func matchJSON(shown, got string) error {
	var want, have any
	if err := json.Unmarshal([]byte(shown), &want); err != nil {
		return fmt.Errorf("what the document shows is not JSON: %w", err)
	}
	if err := json.Unmarshal([]byte(got), &have); err != nil {
		return fmt.Errorf("the answer is not JSON: %w", err)
	}
	return sameShape("", want, have)
}

func sameShape(at string, want, have any) error {
	const whatever = "…"
	if want == whatever {
		return nil
	}
	if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", have) {
		return fmt.Errorf("the answer has %v at %q, not %v", have, at, want)
	}
	switch want := want.(type) {
	case string:
		if want == "queued" && (have == "started" || have == "finished") {
			return nil // a worker was quick
		}
		if !regexp.MustCompile("(?s)^" + linePattern(want, "") + "$").MatchString(have.(string)) {
			return fmt.Errorf("the answer has %q at %q, not %q", have, at, want)
		}
	case map[string]interface{}:
		have := have.(map[string]interface{})
		_, more := want[whatever]
		for _, name := range slices.Sorted(maps.Keys(have)) {
			if _, there := want[name]; !there && !more {
				return fmt.Errorf("the answer has %q in %q, which is not shown", name, at)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			value, there := have[name]
			if !there && name != whatever {
				return fmt.Errorf("the answer has no %q in %q", name, at)
			}
			if err := sameShape(at+"."+name, want[name], value); err != nil {
				return err
			}
		}
	case []interface{}:
		have := have.([]interface{})
		if n := len(want); n > 0 && want[n-1] == whatever {
			want, have = want[:n-1], have[:min(n-1, len(have))]
		}
		if len(want) != len(have) {
			return fmt.Errorf("the answer has %d elements at %q, not %d", len(have), at, len(want))
		}
		for i := range want {
			if err := sameShape(fmt.Sprintf("%s[%d]", at, i), want[i], have[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
