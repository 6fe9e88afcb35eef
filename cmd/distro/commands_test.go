package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
)

const (
	jobReply = `{"id":"j1","queue":"default","function":"m.f","status":"failed","attempt":2,"retries_left":0,` +
		`"created_at":"2026-10-01T14:00:03Z","started_at":"2026-10-01T14:02:00Z","ended_at":"2026-10-01T14:03:01.5Z","worker":"w",` +
		`"timeout_seconds":90,"args":[1,"a"],"kwargs":{"k":null},"failure":{"kind":"exception","type":"E","message":"bad\u0007","traceback":"Tb\n  x\u001b\n"},` +
		`"usage":{"peak_memory_bytes":14365491,"cpu_seconds":0.25}}`
	queuesReply = `{"queues":[{"name":"high","paused":true,"jobs":{}},` +
		`{"name":"low","paused":false,"jobs":{"queued":2,"failed":1},"oldest_at":"2026-10-01T13:05:03Z"}],"suspended":false}`
	workersReply = `{"workers":[{"name":"w1","host":"h","pid":7,"queues":["high","low"],"slots":2,"isolation":"fork","python":"3.11.7",` +
		`"seen_at":"2026-10-01T14:05:03Z","running":["j1"],"finished":5,"failed":1},{"name":"w2","host":"h","pid":8,"queues":["low"],"slots":1,"draining":true}]}`
	modulesReply = `{"automations":[{"module":"m","functions":[{"name":"f","doc":"Does it.\n\nMore.","parameters":[` +
		`{"name":"a","kind":"POSITIONAL_ONLY"},{"name":"b","kind":"POSITIONAL_OR_KEYWORD","annotation":"int","default":"1"},` +
		`{"name":"c","kind":"KEYWORD_ONLY","default":"'x'"},{"name":"d","kind":"VAR_KEYWORD"}]}]},` +
		`{"module":"bad","functions":[],"error":{"message":"invalid syntax","line":3,"column":5}},{"module":"json","functions":[],"refused":"hides json"}]}`
)

func TestCommandsShowWhatTheServerAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args, answer, reply, want string
	}{
		"jobs": {"jobs --status failed -q low --limit 9", "GET /jobs?limit=9&queue=low&status=failed", `{"jobs":[` + jobReply + `],"next":"c"}`,
			"ID  FUNCTION  QUEUE    STATUS  ATTEMPT  CREATED               RAN\nj1  m.f       default  failed  2        14:00:03 (5m00s ago)  1m01s\n"},
		"job": {"job j1", "GET /jobs/j1", jobReply, `id            j1
function      m.f
arguments     1, "a", **{"k":null}
queue         default
status        failed
attempt       2
retries left  0
worker        w
created       14:00:03 (5m00s ago)
started       14:02:00 (3m03s ago)
ended         14:03:01 (2m01s ago)
ran           1m01s
timeout       1m30s
cpu           250ms
memory        13.7 MiB
error         E: bad\a

Tb
  x\x1b
`},
		"a call": {"job j2", "GET /jobs/j2", `{"id":"j2","created_at":"2026-10-01T14:05:03Z","call":"m.f(Decimal('1'))\u001b"}`,
			"id            j2\ncall          m.f(Decimal('1'))\\x1b\nattempt       0\nretries left  0\ncreated       14:05:03 (now)\n"},
		"an ID is escaped": {"job a/b", "GET /jobs/a%2Fb", `{"id":"a/b","created_at":"2026-10-01T14:05:03Z"}`,
			"id            a/b\nattempt       0\nretries left  0\ncreated       14:05:03 (now)\n"},
		"queues": {"queues", "GET /queues", queuesReply, `QUEUE  STATE   SCHEDULED  DEFERRED  QUEUED  STARTED  FINISHED  FAILED  STOPPED  CANCELED  OLDEST
high   paused  0          0         0       0        0         0       0        0
low    open    0          0         2       0        0         1       0        0         13:05:03 (1h00m ago)
`},
		"workers": {"workers", "GET /workers", workersReply, `WORKER  HOST   STATE     BUSY    QUEUES     ISOLATION  PYTHON  FINISHED  FAILED  SEEN
w1      h (7)  busy      1 of 2  high, low  fork       3.11.7  5         1       14:05:03 (now)
w2      h (8)  draining  0 of 1  low                           0         0
`},
		"modules": {"modules", "GET /automations", modulesReply, `MODULE  FUNCTION                            ABOUT
m       f(a, /, b: int = 1, *, c='x', **d)  Does it.
bad                                         line 3, column 5: invalid syntax
json                                        hides json
`},
		"json":    {"queues --json", "GET /queues", queuesReply + "\n", queuesReply + "\n"},
		"pause":   {"pause low", "POST /queues/low/pause", `{}`, "low paused\n"},
		"resume":  {"resume low", "POST /queues/low/resume", `{}`, "low resumed\n"},
		"go on":   {"resume", "POST /workers/resume", `{}`, "all workers go on\n"},
		"end":     {"workers stop w1", "POST /workers/w1/stop", `{}`, "w1 asked to end\n"},
		"suspend": {"suspend", "POST /workers/suspend", `{"suspended":true}`, "all workers are suspended; `distro resume` lets them go on\n"},
		"empty":   {"empty low --yes", "POST /queues/low/empty", `{"deleted":3}`, "3 jobs deleted\n"},
		"cancel":  {"cancel j1", "POST /jobs/j1/cancel", `{}`, "j1 canceled\n"},
		"requeue": {"requeue j1", "POST /jobs/j1/requeue", `{}`, "j1 requeued\n"},
		"stop":    {"stop j1", "POST /jobs/j1/stop", `{}`, "j1 asked to stop\n"},
		"delete":  {"delete j1", "DELETE /jobs/j1", ``, "j1 deleted\n"},
		"logs": {"logs j1", "GET /jobs/j1/log?count=1000&from=1",
			`{"lines":[{"n":1,"stream":"stdout","text":"a"},{"n":2,"stream":"stdout","text":"b"}],"next":1}`, "a\nb\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &canned{answers: map[string]string{tt.answer: "200 " + tt.reply}}
			got := command(t, api, nil, strings.Fields(tt.args)...)
			if diff := cmp.Diff(tt.want, got.out); diff != "" || got.status != 0 || got.errOut != "" {
				t.Errorf("status %d, stderr %q, sent %q, stdout (-want +got):\n%s", got.status, got.errOut, api.sent, diff)
			}
		})
	}
}

func TestPauseNamesTheWorkersThatGoOn(t *testing.T) {
	t.Parallel()
	api := &canned{answers: map[string]string{"POST /queues/low/pause": `200 {"name":"low","paused":true,"ignored_by":["a","b\u001b"]}`}}
	got := command(t, api, nil, "pause", "low")
	if want := "distro: RQ's own workers know nothing of this and go on with low: a, b\\x1b\n"; got.errOut != want || got.out != "low paused\n" {
		t.Errorf("stdout %q, stderr %q, want %q", got.out, got.errOut, want)
	}
}

func TestInfoSumsUp(t *testing.T) {
	t.Parallel()
	api := &canned{answers: map[string]string{"GET /queues": "200 " + queuesReply, "GET /workers": "200 " + workersReply}}
	want := `QUEUE  STATE   QUEUED  STARTED  SCHEDULED  FAILED
high   paused  0       0        0          0
low    open    2       0        0          1

WORKER  STATE     BUSY    QUEUES
w1      busy      1 of 2  high, low
w2      draining  0 of 1  low

2 queues, 2 jobs waiting, 2 workers with 1 of 3 slots busy
`
	if diff := cmp.Diff(want, command(t, api, nil, "info").out); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
	asJSON := command(t, api, nil, "info", "--json").out
	if want := `{"queues":` + queuesReply + `,"workers":` + workersReply + "}\n"; asJSON != want {
		t.Errorf("info --json: %s", asJSON)
	}
}

func TestEnqueueSendsTheCall(t *testing.T) {
	t.Parallel()
	function := `200 {"name":"f","parameters":[{"name":"month","kind":"POSITIONAL_OR_KEYWORD","annotation":"str"}]}`
	for args, want := range map[string]string{
		"m.f 1 n=2": `POST /jobs {"function":"m.f","args":["1"],"kwargs":{"n":2}}`,
		"m.f":       `POST /jobs {"function":"m.f"}`,
		"m.f -q low --in 2h10m20s --timeout 90 --retries 0": `POST /jobs {"function":"m.f","queue":"low","delay":"2h10m20s","timeout":"1m30s","retries":0}`,
		"m.f --at 2026-10-01T09:00:00-03:00 --timeout none": `POST /jobs {"function":"m.f","at":"2026-10-01T09:00:00-03:00","timeout":"none"}`,
		"m.C.f month=1":                     `POST /jobs {"function":"m.C.f","kwargs":{"month":"1"}}`,
		"unknown.f month=1":                 `POST /jobs {"function":"unknown.f","kwargs":{"month":1}}`,
		"m.f --json --queue high -- -1 a=b": `POST /jobs {"function":"m.f","args":["-1"],"kwargs":{"a":"b"},"queue":"high"}`,
	} {
		api := &canned{answers: map[string]string{
			"GET /automations/m/f": function, "GET /automations/m/C.f": function, "POST /jobs": `201 {"id":"j1","queue":"default","status":"queued"}`,
		}}
		got := command(t, api, nil, append([]string{"enqueue"}, strings.Fields(args)...)...)
		if sent := api.sent[len(api.sent)-1]; sent != want || got.status != 0 || !strings.Contains(got.out, "j1") {
			t.Errorf("%s:\nsent %s\nwant %s\n%+v", args, sent, want, got)
		}
	}
}

func TestRefusalsAreOneLineOnStderr(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ answer, want string }{
		"a problem":          {`422 {"title":"Unprocessable","detail":"must be\n\u001b[2J text","field":"args[0]"}`, `distro: args[0]: must be\n\x1b[2J text`},
		"a missing token":    {`401 {"title":"Unauthorized","detail":"this needs a token"}`, "distro: this needs a token: set DISTRO_AUTH_TOKEN or pass --token-file"},
		"another program":    {"404 <html>", `distro: http://SERVER answered "404 Not Found" to GET /api/v1/queues: is it a Distro server?`},
		"a redirection":      {"302 x", `distro: http://SERVER answered "302 Found" to GET /api/v1/queues: is it a Distro server?`},
		"something else":     {"200 <html>", "distro: http://SERVER answered something unknown to GET /api/v1/queues: is it a Distro server of this version?"},
		"only a title there": {`500 {"title":"Internal Server Error"}`, "distro: Internal Server Error"},
	} {
		got := command(t, &canned{answers: map[string]string{"GET /queues": tt.answer}}, nil, "queues")
		if want := (result{1, "", tt.want + "\n"}); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestOneBadJobDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	api := &canned{answers: map[string]string{"POST /jobs/a/cancel": "200 {}", "POST /jobs/c/cancel": "200 {}"}}
	got := command(t, api, nil, "cancel", "a", "b", "c")
	if want := (result{1, "a canceled\nc canceled\n", "distro: cancel b: there is no such thing\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// broken takes nothing.
type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestOutputThatCannotBePrintedIsAFailure(t *testing.T) {
	t.Parallel()
	api := &canned{answers: map[string]string{
		"GET /queues": "200 " + queuesReply, "GET /jobs/j1/log?count=1000&from=1": `200 {"lines":[{"n":1,"stream":"stdout","text":"a"}],"next":1}`,
	}}
	for err, want := range map[error]string{
		&os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}: "distro: print to stdout: no space left on device\n",
		&os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}:  "",
	} {
		for _, args := range [][]string{{"queues"}, {"queues", "--json"}, {"logs", "j1"}} {
			got := command(t, api, func(con *console) { con.printed.to = broken{err} }, args...)
			if got != (result{1, "", want}) {
				t.Errorf("%v, %v: %+v", args, err, got)
			}
		}
	}
}

func TestWhatTheServerFindsInvalidIsWrongUsage(t *testing.T) {
	t.Parallel()
	api := &canned{answers: map[string]string{"POST /jobs": `422 {"title":"x","detail":"args: too many","code":"invalid","field":"args"}`}}
	if got := command(t, api, nil, "enqueue", "m.f"); got != (result{2, "", "distro: args: too many\n"}) {
		t.Errorf("refused: %+v", got)
	}
	sent := len(api.sent)
	for _, timeout := range []string{"0", "1ms"} {
		if got := command(t, api, nil, "enqueue", "m.f", "--timeout", timeout); got.status != 2 || len(api.sent) != sent {
			t.Errorf("--timeout %s: %+v", timeout, got)
		}
	}
}

func TestLongLinesAreJoined(t *testing.T) {
	t.Parallel()
	const lines = `200 {"lines":[{"n":1,"stream":"stdout","text":"a","continued":true},{"n":2,"stream":"stdout","text":"b","continued":true},` +
		`{"n":3,"stream":"stderr","text":"e"},{"n":4,"stream":"stdout","text":"c"},{"n":5,"stream":"stdout","text":"d"}],"next":1}`
	api := &canned{answers: map[string]string{"GET /jobs/j1/log?count=1000&from=1": lines}}
	if got := command(t, api, nil, "logs", "j1"); got != (result{0, "abc\nd\n", "e\n"}) {
		t.Errorf("into files: %+v", got)
	}
	terminal := func(con *console) { con.outTerminal, con.errTerminal = true, true }
	if got := command(t, api, terminal, "logs", "j1"); got != (result{0, "ab\nc\nd\n", "e\n"}) {
		t.Errorf("on a terminal: %+v", got)
	}
}

func TestFollowingNoJobSaysSo(t *testing.T) {
	t.Parallel()
	api := &canned{answers: map[string]string{"GET /jobs/nope/log/stream": `404 {"title":"x","detail":"there is no job \"nope\"","code":"not_found"}`}}
	if got := command(t, api, nil, "logs", "-f", "nope"); got != (result{1, "", "distro: there is no job \"nope\"\n"}) {
		t.Errorf("%+v", got)
	}
}

func TestEmptyAsksBeforeItDeletes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]result{
		"y\n": {0, "3 jobs deleted\n", "Delete all jobs that wait in queue \"low\"? [y/N] "},
		"n\n": {1, "", "Delete all jobs that wait in queue \"low\"? [y/N] distro: nothing was deleted\n"},
		"":    {1, "", "Delete all jobs that wait in queue \"low\"? [y/N] distro: nothing was deleted\n"},
	} {
		api := &canned{answers: map[string]string{"POST /queues/low/empty": `200 {"deleted":3}`}}
		got := command(t, api, func(con *console) { con.inTerminal, con.in = true, strings.NewReader(answer) }, "empty", "low")
		if got != want || len(api.sent) != 1-want.status {
			t.Errorf("%q: got %+v, want %+v; sent %q", answer, got, want, api.sent)
		}
	}
	api := &canned{answers: map[string]string{"POST /queues/low/empty": `200 {"deleted":3}`}}
	got := command(t, api, nil, "empty", "low")
	if want := (result{0, "3 jobs deleted\n", ""}); got != want {
		t.Errorf("without a terminal: %+v, sent %q", got, api.sent)
	}
}

func TestTheTokenIsSent(t *testing.T) {
	t.Parallel()
	var sent []string
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(queuesReply))
	})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(con *console) { con.environ = []string{"DISTRO_AUTH_TOKEN=from-the-environment"} }
	command(t, api, nil, "queues")
	command(t, api, env, "queues")
	command(t, api, env, "queues", "--token-file", file)
	if diff := cmp.Diff([]string{"", "Bearer from-the-environment", "Bearer from-a-file"}, sent); diff != "" {
		t.Errorf("Authorization (-want +got):\n%s", diff)
	}
	spaced := func(con *console) { con.environ = []string{"DISTRO_AUTH_TOKEN=a b"} }
	if got := command(t, api, spaced, "queues"); got.status != 2 || strings.Contains(got.errOut, "a b") {
		t.Errorf("a token with a space: %+v", got)
	}
}

func TestNotesAndColoursAreForTerminals(t *testing.T) {
	t.Parallel()
	api := &canned{answers: map[string]string{"GET /jobs?limit=50": `200 {"jobs":[` + jobReply + `],"next":"c2"}`, "GET /jobs/j1": "200 " + jobReply}}
	terminal := func(con *console) { con.outTerminal, con.errTerminal, con.colors = true, true, true }
	got := command(t, api, terminal, "jobs")
	if !strings.Contains(got.out, "\x1b[31mfailed") || got.errOut != "\x1b[2mmore: --cursor c2\x1b[m\n" {
		t.Errorf("on a terminal: %q %q", got.out, got.errOut)
	}
	plain := func(con *console) { terminal(con); con.colors = false }
	for _, args := range [][]string{{"jobs"}, {"job", "j1"}} {
		if got := command(t, api, plain, args...); strings.Contains(got.out+got.errOut, "\x1b") {
			t.Errorf("%v with NO_COLOR: %q %q", args, got.out, got.errOut)
		}
	}
	if got := command(t, api, terminal, "job", "j1", "--json"); !strings.Contains(got.out, "\n  \"id\": \"j1\"") || strings.Contains(got.out, "\x1b") {
		t.Errorf("JSON on a terminal: %q", got.out)
	}
}

func TestWaitingSpinsOnATerminal(t *testing.T) {
	t.Parallel()
	got := command(t, flaky(t, "finished", ""), func(con *console) { con.errTerminal = true }, "enqueue", "m.f", "--wait")
	if !strings.HasPrefix(got.errOut, "job j1\n\r⠋ m.f 0ms\x1b[K") || !strings.HasSuffix(got.errOut, "\r\x1b[K") || got.out != "{\"n\":1}\n" {
		t.Errorf("got %+v", got)
	}
}

func TestStatusColoursCoverEveryStatusButQueued(t *testing.T) {
	t.Parallel()
	for _, status := range distro.Statuses() {
		if (statusColor(string(status)) == nil) != (status == distro.StatusQueued) {
			t.Errorf("colour of %s: %v", status, statusColor(string(status)))
		}
	}
}

func TestFullAndUnsuitableDisksAreNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		disk disk
		want []finding
	}{
		"plenty":  {disk{known: true, free: 5 << 30}, []finding{{"disk", seenOK, "5.0 GiB are free"}}},
		"little":  {disk{known: true, free: 512 << 20}, []finding{{"disk", seenWarning, "512.0 MiB are free: make room soon"}}},
		"none":    {disk{known: true, free: 10}, []finding{{"disk", seenFailure, "10 B are free: make room, or set another data_dir"}}},
		"unknown": {disk{}, nil},
		"network": {disk{trouble: "network"}, []finding{{"disk", seenWarning, "network"}}},
	} {
		if diff := cmp.Diff(tt.want, judgeDisk(tt.disk)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAPortThatAnotherProgramHoldsIsNamed(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	address := strings.TrimPrefix(other.URL, "http://")
	got := checkPort(t.Context(), "listen", address)
	if got.Status != seenFailure || !strings.HasPrefix(got.Detail, address+" cannot be listened on (address already in use): end what holds it") {
		t.Errorf("got %+v", got)
	}
}
