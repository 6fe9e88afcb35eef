package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/output"
)

// write appends to the output of a job as a worker does.
func (b *bundle) write(w *output.Writer, stream output.Stream, text string) {
	b.t.Helper()
	if err := w.Write(stream, time.Unix(1_800_000_000, 0), []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) writer(id string) *output.Writer {
	b.t.Helper()
	w := b.output.Writer(id, 1)
	return w
}

func TestOutputIsReadInRanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("low")
	if page := ask[httpapi.LogPage](b, 200, "GET", "/api/v1/jobs/"+id+"/log", ""); page.Lines == nil || len(page.Lines) != 0 || page.Ended || page.Next != 1 {
		t.Errorf("before: %+v", page)
	}
	claimed, w := b.claim("low"), b.writer(id)
	b.write(w, output.Stdout, "one\ntwo\n<three>")
	b.write(w, output.Stderr, "four\n")
	page := ask[httpapi.LogPage](b, 200, "GET", "/api/v1/jobs/"+id+"/log?from=2&count=2", "")
	at := time.Unix(1_800_000_000, 0).UTC()
	if want := []httpapi.LogLine{{Number: 2, At: at, Stream: "stdout", Text: "two"}, {Number: 3, At: at, Stream: "stderr", Text: "four"}}; !cmp.Equal(want, page.Lines) || page.Ended {
		t.Errorf("%s %+v", cmp.Diff(want, page.Lines), page)
	}
	w.Close()
	b.finish(claimed)
	page = ask[httpapi.LogPage](b, 200, "GET", "/api/v1/jobs/"+id+"/log?from=4", "")
	if len(page.Lines) != 1 || page.Lines[0].Text != "<three>" || !page.Ended || page.Next != 5 {
		t.Errorf("the end: %+v", page)
	}
	text := b.do("GET", "/api/v1/jobs/"+id+"/log.txt", "")
	if text.Body.String() != "one\ntwo\nfour\n<three>\n" || text.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%q %v", text.Body, text.Header())
	}
	for _, wrong := range []string{"from=0", "from=-1", "count=0", "count=1001", "from=x"} {
		if p := ask[httpapi.Problem](b, 422, "GET", "/api/v1/jobs/"+id+"/log?"+wrong, ""); p.Field != wrong[:strings.IndexByte(wrong, '=')] {
			t.Errorf("%s: %+v", wrong, p)
		}
	}
}

// event is a server-sent event, or a comment with no name.
type event struct{ id, name, data string }

// events reads the events of a stream until it ends.
func events(t *testing.T, address string, header ...string) (<-chan event, *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan event)
	go func() {
		defer close(ch)
		defer response.Body.Close()
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				ch <- e
				e = event{}
			}
		}
	}()
	return ch, response
}

// serve listens as up does.
func (b *bundle) serve() string {
	b.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	server, done := b.api.HTTPServer(), make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	b.t.Cleanup(func() {
		if err := server.Shutdown(context.WithoutCancel(b.t.Context())); err != nil {
			b.t.Error(err)
		}
		<-done
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return "http://" + listener.Addr().String()
}

func TestOutputIsFollowedUntilTheJobEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := b.serve()
	id := b.create("low")
	stream, response := events(t, address+"/api/v1/jobs/"+id+"/log/stream")
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%s, %q", response.Status, got)
	}
	claimed, w := b.claim("low"), b.writer(id)
	expect := func(name string, number int, text string) {
		t.Helper()
		e := <-stream
		var line httpapi.LogLine
		if err := json.Unmarshal([]byte(e.data), &line); err != nil || e.name != name || line.Text != text || name == "line" && e.id != strconv.Itoa(number) {
			t.Fatalf("%+v (%v); want %s %d %q", e, err, name, number, text)
		}
	}
	b.write(w, output.Stdout, "one\nhalf of ")
	expect("line", 1, "one")
	b.write(w, output.Stdout, "two\n")
	expect("line", 2, "half of two")
	b.write(w, output.Stderr, "three\n\r\u2028four\nno end")
	expect("line", 3, "three")
	expect("line", 4, "\r\u2028four")
	w.Close()
	expect("line", 5, "no end")
	b.finish(claimed)
	if e, more := <-stream; e.name != "end" || e.data != `{"status":"finished"}` || !more {
		t.Errorf("%+v", e)
	}
	if e, more := <-stream; more {
		t.Errorf("after the end: %+v", e)
	}
	stream, _ = events(t, address+"/api/v1/jobs/"+id+"/log/stream", "Last-Event-ID", "4")
	expect("line", 5, "no end")
	if e := <-stream; e.name != "end" {
		t.Errorf("%+v", e)
	}
	for range stream {
	}
	stream, _ = events(t, address+"/api/v1/jobs/"+id+"/log/stream?from=6")
	if e := <-stream; e.name != "end" {
		t.Errorf("%+v", e)
	}
	for range stream {
	}
}

func TestAFollowedJobThatIsDeletedEndsTheStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("low")
	stream, _ := events(t, b.serve()+"/api/v1/jobs/"+id+"/log/stream")
	if w := b.do("DELETE", "/api/v1/jobs/"+id, ""); w.Code != 204 {
		t.Fatal(w.Code)
	}
	if e := <-stream; e.name != "end" || e.data != `{"status":"deleted"}` {
		t.Errorf("%+v", e)
	}
	for range stream {
	}
}

func TestAShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("low")
	stream, _ := events(t, b.serve()+"/api/v1/jobs/"+id+"/log/stream")
	b.api.EndStreams()
	if e, more := <-stream; more {
		t.Errorf("%+v", e)
	}
}

func TestAWrongPlaceToGoOnIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/api/v1/jobs/" + b.create("low") + "/log/stream"
	for _, last := range []string{"x", "-1", "9223372036854775807", "9223372036854775808"} {
		if w := b.do("GET", path, "", "Last-Event-ID", last); w.Code != 422 {
			t.Errorf("Last-Event-ID %s: %d", last, w.Code)
		}
	}
	if w := b.do("HEAD", path, ""); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
	for _, from := range []string{"x", "0", "-5"} {
		if w := b.do("GET", path+"?from="+from, ""); w.Code != 422 {
			t.Errorf("from=%s: %d", from, w.Code)
		}
	}
}
