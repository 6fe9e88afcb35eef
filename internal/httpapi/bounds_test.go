package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/output"
)

// Not parallel: it measures what the program allocates.
func TestARequestThatIsWrongAllOverCostsNoMore(t *testing.T) {
	b := setup(t, func(o *httpapi.Options) { o.MaxBody = 8 << 20 })
	var unknown strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&unknown, `"k%d":1,`, i)
	}
	for path, body := range map[string]string{
		"/api/v1/jobs":             `{` + unknown.String() + `"x":1}`,
		"/api/v1/jobs/batch":       `{"jobs":[{` + unknown.String() + `"x":1}]}`,
		"/scheduler/queue-task":    `{` + strings.Repeat(`"module":0,`, 300_000) + `"x":1}`,
		"/scheduler/queue-task/":   `{` + strings.Repeat(`"module":"m",`, 300_000) + `"x":1}`,
		"/scheduler/schedule-task": `{` + strings.Repeat(`"hours":"1",`, 300_000) + `"x":1}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p := ask[httpapi.Problem](b, http.StatusUnprocessableEntity, "POST", path, body)
		runtime.ReadMemStats(&after)
		if n := len(p.Errors); n == 0 || n > 50 {
			t.Errorf("%s: %d errors", path, n)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 40<<20 {
			t.Errorf("%s: %d MB were allocated for a body of %d", path, used>>20, len(body)>>20)
		}
	}
}

func TestAClientThatWritesEverythingBeforeItReadsLearnsThatItWasTooMuch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := strings.TrimPrefix(b.serve(), "http://")
	const size = 64 << 20
	for name, header := range map[string]string{
		"announced": fmt.Sprintf("Content-Length: %d", size), "chunked": "Transfer-Encoding: chunked",
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", header)
		if name == "chunked" {
			fmt.Fprintf(conn, "%x\r\n", size)
		}
		block := make([]byte, 1<<20)
		for range size / len(block) {
			if _, err := conn.Write(block); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if name == "chunked" {
			fmt.Fprint(conn, "\r\n0\r\n\r\n")
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge || err != nil || !strings.Contains(string(text), `"field":"body"`) || response.Close {
			t.Errorf("%s: %s %s, %v, close %t", name, response.Status, text, err, response.Close)
		}
	}
}

func TestTheGuardAnswersOptionsOfTheServerToo(t *testing.T) {
	t.Parallel()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(setup(t).serve(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Error(response.Status)
	}
}

// leaving loses its client at the first step of emptying a queue.
type leaving struct {
	broker.Broker
	leave context.CancelFunc
	steps int
}

func (l *leaving) Empty(ctx context.Context, queue, cursor string, _ int) (int, string, error) {
	if err := ctx.Err(); err != nil {
		return 0, "", err
	}
	l.steps++
	defer l.leave()
	return l.Broker.Empty(ctx, queue, cursor, 1)
}

func TestEmptyingGoesOnWhenTheClientLeft(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/scheduler/clean-queue", "/api/v1/queues/low/empty"} {
		l := &leaving{Broker: setup(t).broker}
		b := setupOver(t, l)
		for range 5 {
			b.create("low")
		}
		ctx, leave := context.WithCancel(t.Context())
		l.leave = leave
		r, err := http.NewRequestWithContext(ctx, "POST", path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "localhost"
		b.api.ServeHTTP(&headers{}, r)
		if n := len(b.jobs()); n != 0 || l.steps < 5 {
			t.Errorf("%s: %d jobs are left after %d steps", path, n, l.steps)
		}
	}
}

// headers is an answer to nobody.
type headers struct{ header http.Header }

func (h *headers) Header() http.Header {
	if h.header == nil {
		h.header = http.Header{}
	}
	return h.header
}
func (*headers) Write(p []byte) (int, error) { return len(p), nil }
func (*headers) WriteHeader(int)             {}

func TestOneStreamTooManyIsAskedToComeLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := b.serve() + "/api/v1/jobs/" + b.create("low") + "/log/stream"
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for i := range 257 {
		r, err := http.NewRequestWithContext(ctx, "GET", address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if late := i == 256; late != (response.StatusCode == http.StatusTooManyRequests) || late != (response.Header.Get("Retry-After") != "") {
			t.Errorf("stream %d: %s", i+1, response.Status)
		}
	}
}

func TestARefusedPartOfTheAddressIsLocatedThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for address, want := range map[string]string{"/api/v1/jobs?status=x": "query.status", "/api/v1/jobs?cursor=x": "query.cursor", "/api/v1/automations/nope": "path.module"} {
		var p httpapi.Problem
		w := b.do("GET", address, "")
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Errors) != 1 || p.Errors[0].Location != want {
			t.Errorf("%s: %s", address, w.Body)
		}
	}
}

func TestLongLinesAreMarkedWhereTheyGoOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("low")
	w := b.writer(id)
	defer w.Close()
	b.write(w, output.Stdout, strings.Repeat("x", 70_000)+"\n")
	page := ask[httpapi.LogPage](b, 200, "GET", "/api/v1/jobs/"+id+"/log", "")
	if len(page.Lines) != 2 || !page.Lines[0].Continued || page.Lines[1].Continued {
		t.Errorf("%d lines", len(page.Lines))
	}
}

func TestTheDescriptionTellsOfTimeoutsAndStreams(t *testing.T) {
	t.Parallel()
	type schema struct {
		Properties map[string]struct {
			Type  any              `json:"type"`
			OneOf []map[string]any `json:"oneOf"`
		} `json:"properties"`
	}
	spec := ask[struct {
		Components struct{ Schemas map[string]schema }
		Paths      map[string]map[string]struct{ Parameters []struct{ Name, In string } }
	}](setup(t), 200, "GET", "/openapi.json", "")
	timeout := spec.Components.Schemas["NewJob"].Properties["timeout"]
	if fmt.Sprint(timeout.OneOf) != "[map[type:string] map[description:seconds minimum:1 type:integer]]" || timeout.Type != nil {
		t.Errorf("timeout: %+v", timeout)
	}
	parameters := spec.Paths["/api/v1/jobs/{id}/log/stream"]["get"].Parameters
	if got := fmt.Sprint(parameters); got != "[{id path} {from query} {Last-Event-ID header}]" {
		t.Errorf("parameters of the stream: %s", got)
	}
}
