package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
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
	for _, wrong := range []string{"from=0", "from=0&q=x", "from=-1&q=x", "count=0", "count=1001", "from=x", "level=loud", "q=" + strings.Repeat("x", 1001)} {
		if p := ask[httpapi.Problem](b, 422, "GET", "/api/v1/jobs/"+id+"/log?"+wrong, ""); p.Field != wrong[:strings.IndexByte(wrong, '=')] {
			t.Errorf("%s: %+v", wrong, p)
		}
	}
}

func TestOutputIsSearchedByTextAndLevel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("low")
	claimed, w := b.claim("low"), b.writer(id)
	b.write(w, output.Stdout, "Reading\nINFO row 1\nERROR row 2\n")
	b.write(w, output.Stderr, "a Row of é\n")
	w.Close()
	b.finish(claimed)
	numbers := func(query string) string {
		page := ask[httpapi.LogPage](b, 200, "GET", "/api/v1/jobs/"+id+"/log?"+query, "")
		var found []int64
		for _, line := range page.Lines {
			found = append(found, line.Number)
		}
		if page.Matches == nil {
			return fmt.Sprint(found, page.Next, page.Total, page.Ended)
		}
		return fmt.Sprint(found, page.Next, page.Total, page.Ended, *page.Matches)
	}
	for query, want := range map[string]string{
		"from=-3":               "[2 3 4] 5 4 true",
		"from=-3&count=1":       "[2] 3 4 false",
		"q=ROW":                 "[2 3 4] 5 4 true {3 false}",
		"q=row&from=3&count=1":  "[3] 4 4 false {3 false}",
		"q=row&from=4&count=1":  "[4] 5 4 true {3 false}",
		"q=row&from=5":          "[] 5 4 true {3 false}",
		"level=warning":         "[3 4] 5 4 true {2 false}",
		"q=row&level=error":     "[3] 5 4 true {1 false}",
		"q=%C3%89&level=":       "[4] 5 4 true {1 false}",
		"q=missing&level=debug": "[] 5 4 true {0 false}",
	} {
		if got := numbers(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if p := ask[httpapi.Problem](b, 404, "GET", "/api/v1/jobs/none/log?q=x", ""); p.Code != "not_found" {
		t.Errorf("%+v", p)
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
	server, done := b.api.HTTPServer(b.api), make(chan struct{})
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
