package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/artifact"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// catalog lists modules that are written in Go here, and finds functions and
// checks calls as the real one does.
type catalog struct {
	*python.Catalog
	modules []distro.Module
}

func (c catalog) All(context.Context) ([]distro.Module, error) { return c.modules, nil }

func (c catalog) Modules(context.Context) ([]string, error) {
	var names []string
	for _, m := range c.modules {
		names = append(names, m.Name)
	}
	return names, nil
}

func (c catalog) Module(_ context.Context, name string) (distro.Module, error) {
	for _, m := range c.modules {
		if m.Name == name {
			return m, nil
		}
	}
	return distro.Module{}, &distro.Error{Code: distro.CodeNotFound, Field: "module", Message: fmt.Sprintf("there is no module %q", name)}
}

func (c catalog) Source(_ context.Context, name string) ([]byte, error) {
	switch name {
	case "hello_world":
		return []byte("def send_hello_world():\n    print('olá \xff')\n"), nil
	case "long":
		return bytes.Repeat([]byte("#\n"), 1<<20), nil
	}
	return nil, &distro.Error{Code: distro.CodeNotFound, Field: "module", Message: fmt.Sprintf("there is no module %q", name)}
}

func testCatalog() catalog {
	none := "None"
	return catalog{modules: []distro.Module{
		{Name: "broken", Error: &distro.SyntaxError{Message: "invalid syntax", Line: 3, Column: 7}},
		{Name: "hello_world", Doc: "Says hello.", Imported: []string{"os"}, Functions: []distro.Function{{Name: "send_hello_world", Line: 4}}},
		{Name: "json", Shadows: true},
		{Name: "pkg.report", Functions: []distro.Function{
			{Name: "build", Line: 1, Parameters: []distro.Parameter{
				{Name: "month", Kind: distro.PositionalOrKeyword, Annotation: "str"},
				{Name: "limit", Kind: distro.KeywordOnly, Default: &none},
			}},
			{Name: "typed", Parameters: typedParameters()},
			{Name: "options_month", Line: 7},
			{Name: "Tools.clean", Line: 9, Decorators: []string{"staticmethod"}},
			{Name: "anything", Parameters: []distro.Parameter{
				{Name: "args", Kind: distro.VarPositional}, {Name: "kwargs", Kind: distro.VarKeyword},
			}},
		}},
	}}
}

// typedParameters are of def typed(year: int, /, day: date, kinds: list[str]=[],
// *, level: Literal['low', 'high'] | None=None, limit: float=LIMIT, **more: int).
func typedParameters() []distro.Parameter {
	empty, none, limit := "[]", "None", "LIMIT"
	return []distro.Parameter{
		{Name: "year", Kind: distro.PositionalOnly, Annotation: "int"},
		{Name: "day", Kind: distro.PositionalOrKeyword, Annotation: "date"},
		{Name: "kinds", Kind: distro.PositionalOrKeyword, Annotation: "list[str]", Default: &empty},
		{Name: "level", Kind: distro.KeywordOnly, Annotation: "Literal['low', 'high'] | None", Default: &none},
		{Name: "limit", Kind: distro.KeywordOnly, Annotation: "float", Default: &limit},
		{Name: "more", Kind: distro.VarKeyword, Annotation: "int"},
	}
}

const secret = "0123456789abcdef"

// bundle is an API over an embedded queue.
type bundle struct {
	t       *testing.T
	broker  broker.Broker
	output  *output.Store
	files   *artifact.Store
	folder  string // of files
	service *service.Service
	api     *httpapi.Server
}

func setup(t *testing.T, change ...func(*httpapi.Options)) *bundle {
	t.Helper()
	b, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return setupOver(t, b, change...)
}

func setupOver(t *testing.T, b broker.Broker, change ...func(*httpapi.Options)) *bundle {
	t.Helper()
	return setupWith(t, b, nil, change...)
}

// setupWith is setup over a queue and a history; nil: there is none.
func setupWith(t *testing.T, b broker.Broker, history service.History, change ...func(*httpapi.Options)) *bundle {
	t.Helper()
	out, err := output.Open(t.TempDir(), output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	files := artifact.New(folder)
	svc, err := service.New(service.Options{
		Broker: b, Catalog: testCatalog(), Output: out,
		Queues: []string{"high", "default", "low"}, ResultTTL: time.Hour, History: history, Commit: func() string { return "c0ffee" }, Artifacts: files,
	})
	if err != nil {
		t.Fatal(err)
	}
	opts := httpapi.Options{Service: svc, Listen: "127.0.0.1:7000", Version: "1.2.3", MaxBody: 1 << 20}
	for _, f := range change {
		f(&opts)
	}
	api, err := httpapi.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{t: t, broker: b, output: out, files: files, folder: folder, service: svc, api: api}
}

func withToken(o *httpapi.Options) { o.AuthToken = secret }

// do sends a request as a program on this machine does, and returns the
// answer. header holds names and values in turn.
func (b *bundle) do(method, path, body string, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	r.Host = "localhost:7000"
	for pair := range slices.Chunk(header, 2) {
		if pair[0] == "Host" {
			r.Host = pair[1]
		}
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	b.api.ServeHTTP(w, r)
	return w
}

// ask is do for requests that must be answered with status, and decodes the
// answer.
func ask[T any](b *bundle, status int, method, path, body string, headers ...string) T {
	b.t.Helper()
	w := b.do(method, path, body, headers...)
	if w.Code != status {
		b.t.Fatalf("%s %s: %d %s; want %d", method, path, w.Code, w.Body, status)
	}
	var answer T
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		b.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
	}
	return answer
}

// jobs are all jobs of the broker, newest first.
func (b *bundle) jobs() []distro.Job {
	b.t.Helper()
	page, err := b.broker.List(b.t.Context(), broker.ListQuery{Limit: broker.MaxPage})
	if err != nil {
		b.t.Fatal(err)
	}
	return page.Jobs
}

// create enqueues hello_world and returns its ID.
func (b *bundle) create(queue string) string {
	b.t.Helper()
	return ask[httpapi.Job](b, http.StatusCreated, "POST", "/api/v1/jobs",
		`{"function":"hello_world.send_hello_world","queue":"`+queue+`"}`).ID
}

// claim begins the next job of queue as a worker does.
func (b *bundle) claim(queue string) broker.Claimed {
	b.t.Helper()
	reply, err := b.broker.Exchange(b.t.Context(), broker.ExchangeRequest{
		Worker: distro.Worker{Name: "tester", Host: "here", PID: 7, Queues: []string{queue}, Slots: 1}, Beat: uint64(time.Now().UnixNano()),
		Want: broker.Want{Queues: []string{queue}, Tokens: []string{distro.NewID()}, Begun: 1},
	})
	if err != nil || len(reply.Claims) != 1 {
		b.t.Fatalf("claim from %q: %d claims, %v", queue, len(reply.Claims), err)
	}
	return reply.Claims[0]
}

// settle ends a claim with a result.
func (b *bundle) settle(c broker.Claimed, result distro.Result) {
	b.t.Helper()
	reply, err := b.broker.Exchange(b.t.Context(), broker.ExchangeRequest{
		Worker: distro.Worker{Name: "tester", Queues: []string{c.Job.Queue}}, Beat: uint64(time.Now().UnixNano()),
		Settle: []broker.Settlement{{Claim: broker.Claim{JobID: c.Job.ID, Token: c.Token}, Result: result}},
	})
	if err != nil || reply.Settled[0] != broker.SettleDone {
		b.t.Fatalf("settle %s: %v, %v", c.Job.ID, reply.Settled, err)
	}
}

func (b *bundle) finish(c broker.Claimed) {
	b.t.Helper()
	b.settle(c, distro.Result{Outcome: distro.OutcomeFinished, View: distro.View{Text: "7", JSON: true}})
}
