package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEventsAreReadAsTheStandardSays(t *testing.T) {
	t.Parallel()
	stream := ": comment\r\n\r\nid: 1\r\nevent: line\r\ndata: a\r\ndata:b\r\n\r\nevent: nothing\n\ndata\n\nid:\ndata:  x\n\nretry: 5\nunknown: y\ndata: cut off"
	var got []event
	err := readEvents(strings.NewReader(stream), func(e event) error {
		got = append(got, e)
		return nil
	})
	want := []event{{"line", "a\nb", "1"}, {"message", "", "1"}, {"message", " x", ""}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("error %v, events (-want +got):\n%s", err, diff)
	}
}

func TestEventsHaveABound(t *testing.T) {
	t.Parallel()
	ok := "data: " + strings.Repeat("x", 200<<10) + "\n\n"
	n := 0
	err := readEvents(strings.NewReader(strings.Repeat(ok, 30)), func(e event) error { n += len(e.data); return nil })
	if n != 30*200<<10 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes of many events, %v", n, err)
	}
	for name, endless := range map[string]string{"line": "x", "lines": "data: x\n"} {
		if err := readEvents(strings.NewReader(strings.Repeat(endless, maxEvent+1)), nil); !errors.Is(err, errEventSize) {
			t.Errorf("endless %s: %v", name, err)
		}
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add("id: 1\nevent: line\ndata: {}\n\n")
	f.Add("data\n\r\n:\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		if err := readEvents(strings.NewReader(stream), func(event) error { return nil }); err == nil {
			t.Error("the end of the stream is no error")
		}
	})
}

// flaky serves a job whose stream breaks after each line, and whose long poll
// ends before the job does.
func flaky(t *testing.T, status, failure string) http.Handler {
	t.Helper()
	var streams, polls atomic.Int32
	job := func(status, failure string) string {
		return fmt.Sprintf(`{"id":"j1","queue":"default","function":"m.f","status":%q,"attempt":2,"result":{"value":{"n":1}}%s}`, status, failure)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/jobs", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, job("queued", ""))
	})
	mux.HandleFunc("GET /api/v1/jobs/j1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("wait") != "30s" {
			t.Errorf("asked for %s", r.URL)
		}
		switch polls.Add(1) {
		case 1:
			panic(http.ErrAbortHandler)
		default:
			fmt.Fprint(w, job(status, failure))
		}
	})
	mux.HandleFunc("GET /api/v1/jobs/j1/log/stream", func(w http.ResponseWriter, r *http.Request) {
		n := int(streams.Add(1))
		last := r.Header.Get("Last-Event-ID")
		if n == 1 && last != "" || n > 1 && last != fmt.Sprint(n-1) {
			t.Errorf("stream %d goes on behind %q", n, last)
		}
		if n == 3 {
			fmt.Fprintf(w, "event: end\ndata: {\"status\":%q}\n\n", status)
			return
		}
		fmt.Fprintf(w, ":\n\nid: %d\nevent: line\ndata: {\"n\":%[1]d,\"stream\":\"stdout\",\"text\":\"line %[1]d\"}\n\nid: 9\nevent: li", n)
	})
	return mux
}

func TestFollowSurvivesBrokenConnections(t *testing.T) {
	t.Parallel()
	got := command(t, flaky(t, "finished", ""), nil, "enqueue", "m.f", "--follow")
	want := result{0, "line 1\nline 2\n", "finished, result: {\"n\":1}\n"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWaitPrintsTheResult(t *testing.T) {
	t.Parallel()
	got := command(t, flaky(t, "finished", ""), nil, "enqueue", "m.f", "--wait")
	if want := (result{0, "{\"n\":1}\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWaitForAFailureTellsWhy(t *testing.T) {
	t.Parallel()
	failure := `,"failure":{"kind":"exception","type":"ValueError","message":"bo\u001bom","traceback":"Traceback (most recent call last):\n  x\nValueError: bo\u001bom\n"}`
	for _, tt := range []struct {
		flag string
		want result
	}{
		{"--wait", result{1, "", "Traceback (most recent call last):\n  x\nValueError: bo\\x1bom\ndistro: job j1 failed after 2 attempts: ValueError: bo\\x1bom\n"}},
		{"--follow", result{1, "line 1\nline 2\n", "Traceback (most recent call last):\n  x\nValueError: bo\\x1bom\ndistro: job j1 failed after 2 attempts: ValueError: bo\\x1bom\n"}},
	} {
		if got := command(t, flaky(t, "failed", failure), nil, "enqueue", "m.f", tt.flag); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.flag, got, tt.want)
		}
	}
	got := command(t, flaky(t, "stopped", ""), nil, "enqueue", "m.f", "--wait")
	if want := (result{1, "", "distro: job j1 was stopped after 2 attempts\n"}); got != want {
		t.Errorf("stopped: got %+v, want %+v", got, want)
	}
}

func TestAJobThatFinishedWithoutALastingResultIsASuccess(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--wait", "--follow"} {
		api := &canned{answers: map[string]string{
			"POST /jobs": `201 {"id":"j1","status":"queued"}`, "GET /jobs/j1?wait=30s": `200 {"id":"j1","status":"finished"}`,
			"GET /jobs/j1/log/stream": "200 event: end\ndata: {}\n\n",
		}}
		if got := command(t, api, nil, "enqueue", "m.f", flag); got != (result{0, "", "finished; its result was not kept (result_ttl)\n"}) {
			t.Errorf("%s: %+v", flag, got)
		}
	}
}

func TestAJobThatIsGoneIsSaidToBe(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--wait", "--follow"} {
		api := &canned{answers: map[string]string{"POST /jobs": `201 {"id":"j1","status":"queued"}`}}
		got := command(t, api, nil, "enqueue", "m.f", flag)
		if want := "distro: job j1 is gone: it was deleted, or its result was not kept (result_ttl)\n"; got.errOut != want || got.status != 1 {
			t.Errorf("%s: %+v", flag, got)
		}
	}
}
