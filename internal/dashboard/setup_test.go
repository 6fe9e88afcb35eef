package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/guard"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/store"
	"github.com/distro-orchestrator/distro/internal/upload"
)

// catalog lists modules that are written in Go here, and finds functions and
// checks calls as the real one does.
type catalog struct {
	*python.Catalog
	modules []distro.Module
}

func (c catalog) All(context.Context) ([]distro.Module, error) { return c.modules, nil }

func (c catalog) Module(_ context.Context, name string) (distro.Module, error) {
	for _, m := range c.modules {
		if m.Name == name {
			return m, nil
		}
	}
	return distro.Module{}, &distro.Error{Code: distro.CodeNotFound, Field: "module", Message: fmt.Sprintf("there is no module %q", name)}
}

func (c catalog) Source(ctx context.Context, name string) ([]byte, error) {
	if _, err := c.Module(ctx, name); err != nil {
		return nil, err
	}
	return []byte("# source of " + name + "\n<script>alert(1)</script>\n"), nil
}

const (
	secret     = "0123456789abcdef"
	readSecret = "fedcba9876543210"
)

// Bounds of what jobs are given, in bytes.
const (
	maxUpload    = 1 << 20
	maxArguments = 1 << 20
)

// clock is the time of every test.
func clock() time.Time { return time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC) }

// bundle is a dashboard over an embedded queue and a history.
type bundle struct {
	t       *testing.T
	broker  *sqlitebroker.Broker
	history *store.Store
	output  *output.Store
	uploads *upload.Store
	kept    string // the folder of uploads
	service *service.Service
	pages   *dashboard.Server
}

// setup makes a dashboard that catalogs modules; change may change its options.
func setup(t *testing.T, modules []distro.Module, change ...func(*dashboard.Options)) *bundle {
	t.Helper()
	b := &bundle{t: t}
	var err error
	b.broker, err = sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.broker.Close() })
	b.history, err = store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "history.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.history.Close() })
	if b.output, err = output.Open(t.TempDir(), output.Options{}); err != nil {
		t.Fatal(err)
	}
	b.kept = filepath.Join(t.TempDir(), "uploads")
	if b.uploads, err = upload.Open(b.kept); err != nil {
		t.Fatal(err)
	}
	b.service, err = service.New(service.Options{
		Broker: b.broker, Catalog: catalog{modules: modules}, Output: b.output, History: b.history,
		Queues: []string{"high", "default", "low"}, ResultTTL: time.Hour, Now: clock,
		Uploads: b.uploads, MaxUpload: maxUpload, MaxArguments: maxArguments,
	})
	if err != nil {
		t.Fatal(err)
	}
	opts := dashboard.Options{
		Service: b.service, Guard: guard.New(guard.Options{Listen: "127.0.0.1:9181"}), Assets: fstest.MapFS{
			"style.css": {Data: []byte("body{}")}, "icons.svg": {Data: []byte("<svg></svg>")},
		},
		Version: "1.2.3", Now: clock, About: dashboard.About{History: "SQLite", Queue: "SQLite"},
	}
	for _, f := range change {
		f(&opts)
	}
	if b.pages, err = dashboard.New(opts); err != nil {
		t.Fatal(err)
	}
	return b
}

func closed(o *dashboard.Options) {
	o.Guard = guard.New(guard.Options{Listen: "127.0.0.1:9181", Token: secret, ReadToken: readSecret})
}

// send sends a request as a browser on this machine does. header holds names and
// values in turn.
func (b *bundle) send(method, address, body string, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	r.Host = "localhost:9181"
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", "en")
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for pair := range slices.Chunk(header, 2) {
		if pair[0] == "Host" {
			r.Host = pair[1]
			continue
		}
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	b.pages.ServeHTTP(w, r)
	return w
}

// get returns a page that has to be there.
func (b *bundle) get(address string, header ...string) string {
	b.t.Helper()
	w := b.send(http.MethodGet, address, "", header...)
	if w.Code != http.StatusOK {
		b.t.Fatalf("GET %s answered %d:\n%.2000s", address, w.Code, w.Body)
	}
	return w.Body.String()
}

// post sends a form, given as names and values in turn.
func (b *bundle) post(address string, pairs ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	form := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		form.Add(pair[0], pair[1])
	}
	return b.send(http.MethodPost, address, form.Encode(), "Sec-Fetch-Site", "same-origin")
}

// enqueue stores a job as it is given.
func (b *bundle) enqueue(jobs ...distro.Job) {
	b.t.Helper()
	if _, err := b.broker.Enqueue(b.t.Context(), jobs); err != nil {
		b.t.Fatal(err)
	}
}

// record puts executions into history.
func (b *bundle) record(list ...distro.Execution) {
	b.t.Helper()
	if err := b.history.Record(b.t.Context(), list, "test", "1"); err != nil {
		b.t.Fatal(err)
	}
}

// has fails unless a page shows every text.
func has(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not show %q:\n%.6000s", text, page)
		}
	}
}

var _ broker.Broker = (*sqlitebroker.Broker)(nil)
