package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

// leakChecked runs the tests, then looks for goroutines they left.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	status := m.M.Run()
	if err := goleak.Find(); status == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"distro": main, "rq": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fails": fails},
	})
}

// fails runs a program and checks its exit status: fails STATUS PROGRAM...
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails STATUS PROGRAM...")
	}
	err := ts.Exec(args[1], args[2:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || fmt.Sprint(exit.ExitCode()) != args[0] {
		ts.Fatalf("%v, want exit status %s", err, args[0])
	}
}

// today is the moment the tests' consoles believe in.
func today() time.Time { return time.Date(2026, 10, 1, 14, 5, 3, 0, time.UTC) }

// result is what a command did.
type result struct {
	status      int
	out, errOut string
}

// command runs the program against a server that answers as handler does; the
// terminal may be changed by with.
func command(t *testing.T, handler http.Handler, with func(*console), args ...string) result {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	var out, errOut bytes.Buffer
	con := newConsole(nil, strings.NewReader(""), &out, &errOut)
	con.now, con.zone, con.colors = today, time.UTC, false
	if with != nil {
		with(con)
	}
	status := execute(t.Context(), con, append([]string{args[0], "--server", server.URL}, args[1:]...))
	errText := strings.ReplaceAll(errOut.String(), server.URL, "http://SERVER")
	return result{status, out.String(), errText}
}

// canned answers requests by "METHOD /path?query" below /api/v1 with a status,
// a space and a body, and writes down what was sent.
type canned struct {
	answers map[string]string
	sent    []string
}

func (c *canned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/api/v1")
	body, _ := io.ReadAll(r.Body)
	c.sent = append(c.sent, strings.TrimSpace(name+" "+string(body)))
	var status int
	_, text, _ := strings.Cut(c.answers[name], " ")
	if _, err := fmt.Sscan(c.answers[name], &status); err != nil {
		status, text = http.StatusNotFound, `{"title":"Not Found","status":404,"detail":"there is no such thing","code":"not_found"}`
	}
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	root := newRoot(newConsole(nil, nil, io.Discard, io.Discard))
	for _, cmd := range append(root.Commands(), root) {
		if !strings.Contains(cmd.Example, "  distro ") || cmd.Short == "" {
			t.Errorf("%s: example %q, short %q", cmd.Name(), cmd.Example, cmd.Short)
		}
		for line := range strings.Lines(cmd.Example) {
			checkExample(t, root, strings.Fields(line))
		}
	}
}

// checkExample looks whether the flags of an example exist.
func checkExample(t *testing.T, root *cobra.Command, words []string) {
	t.Helper()
	for len(words) > 0 && words[0] != "distro" {
		words = words[1:]
	}
	cmd, rest, err := root.Find(words[1:])
	if err != nil {
		t.Errorf("%q: %v", words, err)
		return
	}
	for _, word := range rest {
		if word == "--" {
			return
		}
		if name, ok := strings.CutPrefix(word, "--"); ok && cmd.Flags().Lookup(name) == nil {
			t.Errorf("%q: there is no flag %s", words, word)
		}
	}
}
