package browsertest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Request is a request of the page, for itself or for what is in it.
type Request struct {
	URL    string
	Type   string // Document, Script, Stylesheet, Fetch, EventSource, …
	Status int64  // 0: there was no answer yet
	Bytes  int    // that came over the wire, with headers

	ended bool
}

// watch is what a tab tells by itself.
type watch struct {
	dialogs chan struct{} // one for each that opened

	mu       sync.Mutex
	problems []string
	order    []network.RequestID
	requests map[network.RequestID]*Request
	early    map[network.RequestID]int64 // statuses of requests that are told of later
}

// maxDialogs bounds those that wait for an answer; a page opens one at a time.
const maxDialogs = 64

func newWatch() *watch {
	return &watch{dialogs: make(chan struct{}, maxDialogs), requests: map[network.RequestID]*Request{}, early: map[network.RequestID]int64{}}
}

// begin forgets the requests until now.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order, w.requests = nil, map[network.RequestID]*Request{}
}

// heard is told of every event, in their order and before what caused them is
// answered.
func (w *watch) heard(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			w.problems = append(w.problems, string(e.Type)+": "+spoken(e.Args))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		w.problems = append(w.problems, text)
	case *log.EventEntryAdded:
		// Answers that are errors are told by Requests; advice on speed is no problem.
		loud := e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning
		if quiet := []log.EntrySource{log.EntrySourceNetwork, log.EntrySourceRendering, log.EntrySourceRecommendation}; loud && !slices.Contains(quiet, e.Entry.Source) {
			w.problems = append(w.problems, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *page.EventJavascriptDialogOpening:
		w.problems = append(w.problems, fmt.Sprintf("dialog: %s %q", e.Type, e.Message))
		select {
		case w.dialogs <- struct{}{}:
		default: // the test fails of those before it
		}
	default:
		w.heardNetwork(event)
	}
}

func (w *watch) heardNetwork(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		// The browser asks for icons when it likes, and does not always tell of their end.
		if strings.HasPrefix(e.Request.URL, "data:") || strings.HasSuffix(e.Request.URL, "/favicon.ico") {
			return
		}
		w.order = append(w.order, e.RequestID) // again where it was redirected
		w.requests[e.RequestID] = &Request{URL: e.Request.URL, Type: string(e.Type), Status: w.early[e.RequestID]}
		delete(w.early, e.RequestID)
	case *network.EventResponseReceived:
		if r := w.requests[e.RequestID]; r != nil {
			r.Status = e.Response.Status
			r.Bytes = int(e.Response.EncodedDataLength)
		}
	case *network.EventResponseReceivedExtraInfo:
		// It tells of answers too that the page may not see, and may come first.
		if r := w.requests[e.RequestID]; r == nil {
			w.early[e.RequestID] = e.StatusCode
		} else if r.Status == 0 {
			r.Status = e.StatusCode
		}
	case *network.EventLoadingFinished:
		if r := w.requests[e.RequestID]; r != nil {
			r.Bytes, r.ended = int(e.EncodedDataLength), true
		}
	case *network.EventLoadingFailed:
		if r := w.requests[e.RequestID]; r != nil {
			r.ended = true
		}
	}
}

// spoken is what was written to the console, as text.
func spoken(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		words = append(words, strings.Trim(cmp.Or(a.Description, string(a.Value)), `"`))
	}
	return strings.Join(words, " ")
}

// answerDialogs closes what pages open with alert and its like, until the tab
// ends: a page stands still meanwhile.
func (tab *Tab) answerDialogs() {
	for {
		select {
		case <-tab.ctx.Done():
			return
		case <-tab.watch.dialogs:
			// Where the page is left at the same moment, the dialog is gone with it.
			_, _ = chromedp.Call(tab.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}
	}
}

// Problems are errors and warnings in the console, what scripts threw and nobody
// caught, what a policy of the page forbade, and dialogs, of all pages until now.
// They are told once.
func (tab *Tab) Problems() []string {
	tab.watch.mu.Lock()
	defer tab.watch.mu.Unlock()
	problems := tab.watch.problems
	tab.watch.problems = nil
	return problems
}

// forget takes problems out.
func (w *watch) forget(which func(problem string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = slices.DeleteFunc(w.problems, which)
}

// Requests are those since Go was called last, in their order, once all have
// ended but streams of events. One that was redirected is told as what it became.
func (tab *Tab) Requests() []Request {
	tab.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Patience); ; <-tick.C {
		list, ended := tab.watch.told()
		if ended {
			return list
		}
		if time.Now().After(end) {
			tab.t.Fatalf("requests have not ended after %v: %+v", Patience, list)
		}
	}
}

func (w *watch) told() (list []Request, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ended = true
	for i, id := range w.order {
		r := w.requests[id]
		if slices.Contains(w.order[:i], id) {
			continue
		}
		list = append(list, *r)
		ended = ended && (r.ended || r.Type == "EventSource")
	}
	return list, ended
}
