package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

const presetsPath = "/api/v1/automations/pkg.report/typed/presets"

func setupPresets(t *testing.T, change ...func(*httpapi.Options)) *bundle {
	t.Helper()
	b, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return setupWith(t, b, openHistory(t), change...)
}

func TestPresetsAreSavedReadReplacedAndDeleted(t *testing.T) {
	t.Parallel()
	b := setupPresets(t)
	const name = "Fim%20do%20m%C3%AAs%2F1"
	if got := ask[httpapi.PresetList](b, 200, "GET", presetsPath, ""); got.Presets == nil || len(got.Presets) > 0 {
		t.Errorf("%+v", got)
	}
	w := b.do("PUT", presetsPath+"/"+name, `{"args":[2026],"kwargs":{"day":"2026-11-30","limit":1.50,"senha":7},"typed":true,"queue":"high","delay":"90m","timeout":"none","retries":0}`)
	if w.Code != http.StatusCreated || w.Header().Get("Location") != presetsPath+"/"+name {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	w = b.do("PUT", presetsPath+"/"+name, `{"args":[2026],"kwargs":{"day":"2026-11-30","limit":1.50},"typed":true,"queue":"high","delay":"90m","timeout":"none","retries":0}`)
	if w.Code != http.StatusOK {
		t.Errorf("replaced: %d %s", w.Code, w.Body)
	}
	got := ask[httpapi.Preset](b, 200, "GET", presetsPath+"/fim%20do%20M%C3%8As%2F1", "")
	zero := 0
	want := httpapi.Preset{
		Name: "Fim do mês/1", Args: json.RawMessage(`[2026]`), Kwargs: json.RawMessage(`{"day":"2026-11-30","limit":1.50}`), Typed: true, Queue: "high",
		Delay: "1h30m0s", Timeout: "none", Retries: &zero, Caller: got.Caller, SavedAt: got.SavedAt,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.SavedAt == nil || got.Caller == "" {
		t.Error(diff)
	}
	tag := b.do("GET", presetsPath, "").Header().Get("ETag")
	if w := b.do("GET", presetsPath, "", "If-None-Match", tag); w.Code != http.StatusNotModified {
		t.Errorf("with its ETag: %d", w.Code)
	}
	if got := ask[httpapi.PresetList](b, 200, "GET", presetsPath, ""); len(got.Presets) != 1 || got.Presets[0].Name != "Fim do mês/1" {
		t.Errorf("%+v", got)
	}
	if w := b.do("DELETE", presetsPath+"/"+name, ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if w := b.do(method, presetsPath+"/"+name, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s again: %d %s", method, w.Code, w.Body)
		}
	}
}

func TestPresetsKeepNoPasswords(t *testing.T) {
	t.Parallel()
	b := setupPresets(t)
	got := ask[httpapi.Preset](b, 201, "PUT", "/api/v1/automations/pkg.report/anything/presets/a", `{"kwargs":{"senha":"s3cret","who":"ana","login":{"token":"s3cret"}}}`)
	if diff := cmp.Diff([]string{"senha", "login"}, got.Omitted); diff != "" || string(got.Kwargs) != `{"who":"ana","login":{}}` {
		t.Errorf("%s %s", got.Kwargs, diff)
	}
	if text := b.do("GET", "/api/v1/automations/pkg.report/anything/presets", "").Body.String(); strings.Contains(text, "s3cret") || !strings.Contains(text, "ana") {
		t.Error(text)
	}
}

func TestWrongPresetsAreRefusedWithTheFieldNamed(t *testing.T) {
	t.Parallel()
	b := setupPresets(t)
	put := func(path, body string) httpapi.Problem {
		t.Helper()
		w := b.do("PUT", path, body)
		var p httpapi.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != p.Status {
			t.Fatalf("%s %s: %d %s", path, body, w.Code, w.Body)
		}
		return p
	}
	for body, field := range map[string]string{
		`{"kwargs":{"day":"soon"},"typed":true}`: "kwargs.day", `{"args":[1,2,3,4,5]}`: "args", `{"queue":"hihg"}`: "queue",
		`{"delay":"soon"}`: "delay", `{"timeout":"-1s"}`: "timeout",
		`{"kwargs":{"day":"` + strings.Repeat("x", 65<<10) + `"}}`: "args",
	} {
		if p := put(presetsPath+"/a", body); p.Status != 422 || p.Field != field || len(p.Errors) != 1 || p.Errors[0].Location != "body."+field {
			t.Errorf("%.80s: %+v", body, p)
		}
	}
	for body, status := range map[string]int{`{"kwargs":[]}`: 422, `{"args":{}}`: 422, `{"retries":101}`: 422, `{"owner":"x"}`: 422, `{`: 400, ``: 400} {
		if p := put(presetsPath+"/a", body); p.Status != status {
			t.Errorf("%s: %+v", body, p)
		}
	}
	for name, status := range map[string]int{strings.Repeat("n", 81): 422, "%20a": 422, "a%0Ab": 422} {
		if p := put(presetsPath+"/"+name, `{}`); p.Status != status || p.Field != "name" || p.Errors[0].Location != "path.name" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if p := put("/api/v1/automations/pkg.report/none/presets/a", `{}`); p.Status != 404 {
		t.Errorf("%+v", p)
	}
	for i := range 100 {
		ask[httpapi.Preset](b, 201, "PUT", fmt.Sprint(presetsPath, "/n", i), `{}`)
	}
	if p := put(presetsPath+"/more", `{}`); p.Status != 409 {
		t.Errorf("one more than there may be: %+v", p)
	}
}

func TestWithoutHistoryPresetsAreUnavailable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if w := b.do(method, presetsPath+"/a", map[string]string{"PUT": "{}"}[method]); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
}
