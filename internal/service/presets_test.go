package service_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/store"
)

// sending is a module with functions that people keep presets for.
func sending() distro.Module {
	parameter := func(name string, kind distro.ParameterKind, annotation string) distro.Parameter {
		return distro.Parameter{Name: name, Kind: kind, Annotation: annotation}
	}
	return distro.Module{Name: "mail", Types: []distro.Type{{Name: "Account", Kind: distro.Record, Class: true, Fields: []distro.Parameter{
		{Name: "user", Annotation: "str"}, {Name: "senha", Annotation: "str"}, {Name: "key", Annotation: "SecretBytes"}, {Name: "pin", Annotation: "int"},
	}}}, Functions: []distro.Function{
		{Name: "send", Parameters: []distro.Parameter{
			parameter("to", distro.PositionalOrKeyword, "str"), parameter("day", distro.PositionalOrKeyword, "date"), parameter("account", distro.KeywordOnly, "Account | None"),
			parameter("apiKey", distro.KeywordOnly, ""), parameter("token_limit", distro.KeywordOnly, "int"), parameter("extra", distro.KeywordOnly, "dict"),
		}},
		{Name: "login", Parameters: []distro.Parameter{
			parameter("user", distro.PositionalOnly, ""), parameter("password", distro.PositionalOnly, ""), parameter("host", distro.PositionalOrKeyword, ""), parameter("rest", distro.VarPositional, ""),
		}},
	}}
}

func openHistory(t *testing.T) *store.Store {
	t.Helper()
	h, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "history.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func keeping(t *testing.T) (*bundle, *catalog) {
	t.Helper()
	c := &catalog{modules: []distro.Module{sending()}}
	return setup(t, open(t), func(o *service.Options) { o.Catalog, o.History = c, openHistory(t) }), c
}

func TestAPresetIsKeptWithoutWhatIsMasked(t *testing.T) {
	t.Parallel()
	b, _ := keeping(t)
	two := 2
	for name, tt := range map[string]struct {
		function, args, kwargs, wantArgs, wantKwargs string
		omitted                                      []string
	}{
		"plain":  {"send", `["ana"]`, `{"token_limit": 7, "day": "2026-11-30"}`, `["ana"]`, `{"token_limit":7,"day":"2026-11-30"}`, nil},
		"named":  {"send", ``, `{"apiKey": "s3cret", "to": "ana"}`, `[]`, `{"to":"ana"}`, []string{"apiKey"}},
		"empty":  {"send", ``, `{"apiKey": "", "account": null}`, `[]`, `{"apiKey":"","account":null}`, nil},
		"within": {"send", ``, `{"account": {"user": "ana", "senha": "s3cret", "key": "s3cret", "pin": 1}}`, `[]`, `{"account":{"user":"ana","pin":1}}`, []string{"account"}},
		"loose":  {"send", ``, `{"extra": {"a": [1, {"token": "s3cret", "b": 2}], "password": ["s3cret"]}}`, `[]`, `{"extra":{"a":[1,{"b":2}]}}`, []string{"extra"}},
		"placed": {"login", `["ana", "s3cret", "host", "rest"]`, ``, `["ana"]`, `{"host":"host"}`, []string{"password", "rest"}},
	} {
		p := service.Preset{Name: name, Args: []byte(tt.args), Kwargs: []byte(tt.kwargs), Typed: tt.function == "send", Queue: "high", Delay: time.Hour, Timeout: distro.Forever, Retries: &two, Caller: "ana"}
		saved, created, err := b.SavePreset(t.Context(), "mail", tt.function, p, false)
		if err != nil || !created || !slices.Equal(saved.Omitted, tt.omitted) {
			t.Errorf("%s: created %v, %v omitted, %v", name, created, saved.Omitted, err)
		}
		got, err := b.Preset(t.Context(), "mail", tt.function, strings.ToUpper(name))
		if err != nil || string(got.Args) != tt.wantArgs || string(got.Kwargs) != tt.wantKwargs {
			t.Errorf("%s: %s %s, %v", name, got.Args, got.Kwargs, err)
		}
		if got.Name != name || got.Typed != p.Typed || got.Queue != "high" || got.Delay != time.Hour || got.Timeout != distro.Forever || *got.Retries != 2 || got.Caller != "ana" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	list, err := b.Presets(t.Context(), "mail", "send")
	if err != nil || len(list) != 5 || list[0].Name != "empty" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestPresetsThatCannotBeKeptAreRefusedByField(t *testing.T) {
	t.Parallel()
	b, _ := keeping(t)
	many := 101
	good := func() service.Preset { return service.Preset{Name: "ok", Kwargs: []byte(`{"to":"ana"}`), Typed: true} }
	for want, change := range map[string]func(*service.Preset){
		"name is missing":     func(p *service.Preset) { p.Name = "" },
		"name has 81":         func(p *service.Preset) { p.Name = strings.Repeat("ç", 81) },
		"name must be print":  func(p *service.Preset) { p.Name = "a\nb" },
		"name must not begin": func(p *service.Preset) { p.Name = " a" },
		"name must not be":    func(p *service.Preset) { p.Name = ".." },
		"kwargs.too send has": func(p *service.Preset) { p.Kwargs = []byte(`{"too":"x"}`) },
		"kwargs.to must be":   func(p *service.Preset) { p.Kwargs = []byte(`{"to":7}`) },
		"kwargs.day must be":  func(p *service.Preset) { p.Kwargs = []byte(`{"day":"tomorrow"}`) },
		"args send takes":     func(p *service.Preset) { p.Args = []byte(`[1,2,3]`) },
		"kwargs.to is given":  func(p *service.Preset) { p.Args = []byte(`["bia"]`) },
		"args must be":        func(p *service.Preset) { p.Args = []byte(`{}`) },
		"args the arguments": func(p *service.Preset) {
			p.Kwargs = fmt.Appendf(nil, `{"to":%q}`, strings.Repeat("x", store.MaxPreset))
		},
		"kwargs must be":  func(p *service.Preset) { p.Kwargs = []byte(`[]`) },
		"queue there is":  func(p *service.Preset) { p.Queue = "hihg" },
		"delay must not":  func(p *service.Preset) { p.Delay = -1 },
		"timeout must be": func(p *service.Preset) { p.Timeout = time.Millisecond },
		"retries must be": func(p *service.Preset) { p.Retries = &many },
	} {
		p := good()
		change(&p)
		_, _, err := b.SavePreset(t.Context(), "mail", "send", p, true)
		e, ok := err.(*distro.Error) //nolint:errorlint // it is the outermost
		if !ok || e.Code != distro.CodeInvalid || !strings.HasPrefix(e.Field+" "+e.Message, want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for what, address := range map[string][2]string{"module": {"none", "send"}, "function": {"mail", "none"}, "no name": {"../x", "send"}} {
		_, _, saved := b.SavePreset(t.Context(), address[0], address[1], good(), true)
		_, listed := b.Presets(t.Context(), address[0], address[1])
		_, found := b.Preset(t.Context(), address[0], address[1], "ok")
		deleted := b.DeletePreset(t.Context(), address[0], address[1], "ok")
		for _, err := range []error{saved, listed, found, deleted} {
			if distro.ErrorCode(err) != distro.CodeNotFound {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestAPresetIsReplacedWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	b, _ := keeping(t)
	save := func(name, to string, replace, created bool, code distro.Code) {
		t.Helper()
		_, made, err := b.SavePreset(t.Context(), "mail", "send", service.Preset{Name: name, Kwargs: fmt.Appendf(nil, `{"to":%q}`, to)}, replace)
		if made != created || distro.ErrorCode(err) != code {
			t.Errorf("%s to %s: created %v, %v", name, to, made, err)
		}
	}
	save("Mês", "ana", false, true, "")
	save("Mês", "ana", false, false, "")
	save("MÊS", "bia", false, false, distro.CodeConflict)
	save("MÊS", "bia", true, false, "")
	if got, err := b.Preset(t.Context(), "mail", "send", "mês"); err != nil || string(got.Kwargs) != `{"to":"bia"}` || got.Name != "MÊS" {
		t.Errorf("%+v %v", got, err)
	}
	if err := b.DeletePreset(t.Context(), "mail", "send", "mês"); err != nil {
		t.Error(err)
	}
	if err := b.DeletePreset(t.Context(), "mail", "send", "mês"); distro.ErrorCode(err) != distro.CodeNotFound {
		t.Errorf("%v", err)
	}
}

func TestWhatOfAPresetStillFitsIsTold(t *testing.T) {
	t.Parallel()
	b, _ := keeping(t)
	m := sending()
	for _, tt := range []struct {
		function             string
		preset               service.Preset
		args, kwargs, misfit string
	}{
		{"send", service.Preset{Typed: true, Kwargs: []byte(`{"to":"ana","day":"2026-11-30"}`)}, `[]`, `{"to":"ana","day":"2026-11-30"}`, ""},
		{"send", service.Preset{Typed: true, Kwargs: []byte(`{"to":7,"day":"2026-11-30","gone":1}`), Queue: "closed"}, `[]`, `{"day":"2026-11-30"}`, "to gone queue"},
		{"send", service.Preset{Kwargs: []byte(`{"to":7}`), Args: []byte(`[1,2,3]`)}, `[1,2]`, `{"to":7}`, "args[2]"},
		{"send", service.Preset{Typed: true, Kwargs: []byte(`{"account":{"user":"ana"}}`)}, `[]`, `{"account":{"user":"ana"}}`, ""},
		{"send", service.Preset{Typed: true, Args: []byte(`[1,"2026-11-30"]`)}, `[]`, `{}`, "to day"},
		{"login", service.Preset{Typed: true, Args: []byte(`[1,2,3,4,5]`)}, `[1,2,3,4,5]`, `{}`, ""},
	} {
		f := m.Functions[slices.IndexFunc(m.Functions, func(f distro.Function) bool { return f.Name == tt.function })]
		fits, unfit := b.Fitting(m, f, tt.preset)
		if diff := cmp.Diff([]string{tt.args, tt.kwargs, tt.misfit}, []string{string(fits.Args), string(fits.Kwargs), strings.Join(unfit, " ")}); diff != "" {
			t.Errorf("%+v: %s", tt.preset, diff)
		}
	}
}

func TestWithoutHistoryThereAreNoPresets(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	if b.HasPresets() {
		t.Error("there are")
	}
	if _, err := b.Presets(t.Context(), "a.b", "f"); distro.ErrorCode(err) != distro.CodeUnavailable {
		t.Errorf("%v", err)
	}
}
