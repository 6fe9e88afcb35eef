package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// schemas are those of a function's kwargs and args.
func (b *bundle) schemas(function string) (kwargs, args *jsonschema.Schema) {
	b.t.Helper()
	f := ask[httpapi.Function](b, http.StatusOK, "GET", "/api/v1/automations/"+function, "")
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(f.Schema)))
	if err != nil {
		b.t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:s", document); err != nil {
		b.t.Fatal(err)
	}
	return c.MustCompile("mem:s"), c.MustCompile("mem:s#/x-args")
}

func TestWhatTheSchemaTakesIsEnqueued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	kwargs, args := b.schemas("pkg.report/typed")
	fits := func(s *jsonschema.Schema, text string) bool {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return s.Validate(v) == nil
	}
	for _, tt := range []struct {
		args, kwargs   string
		schema, status bool // whether the schema takes it; whether it is enqueued
	}{
		{`[2026]`, `{"day":"2026-10-31"}`, true, true},
		{`[2026]`, `{"day":"2026-10-31","kinds":["a"],"level":"low","limit":1.5}`, true, true},
		{`[2026]`, `{"day":"2026-10-31","level":null,"other":1,"year":2}`, true, true},
		// Names decide in both.
		{`[2026]`, `{}`, false, false},
		{`[]`, `{"day":"2026-10-31"}`, false, false},
		{`[2026]`, `{"kinds":[]}`, false, false},
		// Types are the schema's alone: nobody holds a call against annotations.
		{`["2026"]`, `{"day":"2026-10-31"}`, false, true},
		{`[2026]`, `{"day":20261031}`, false, true},
		{`[2026]`, `{"day":"2026-10-31","kinds":[1]}`, false, true},
		{`[2026]`, `{"day":"2026-10-31","level":"mid"}`, false, true},
		{`[2026]`, `{"day":"2026-10-31","limit":null}`, false, true},
		{`[2026]`, `{"day":"2026-10-31","other":"x"}`, false, true},
	} {
		if got := fits(args, tt.args) && fits(kwargs, tt.kwargs); got != tt.schema {
			t.Errorf("%s %s: the schema takes it: %t", tt.args, tt.kwargs, got)
		}
		w := b.do("POST", "/api/v1/jobs", fmt.Sprintf(`{"function":"pkg.report.typed","args":%s,"kwargs":%s}`, tt.args, tt.kwargs))
		if got := w.Code == http.StatusCreated; got != tt.status || !got && w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s %s: %d %s", tt.args, tt.kwargs, w.Code, w.Body)
		}
	}
}
