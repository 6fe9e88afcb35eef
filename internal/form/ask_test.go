package form_test

import (
	"net/url"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/form"
)

func TestWhatIsMaskedIsNeverTakenFromAnAddress(t *testing.T) {
	t.Parallel()
	m := distro.Module{Name: "m", Types: []distro.Type{{Name: "Account", Kind: distro.Record, Class: true, Fields: []distro.Parameter{
		{Name: "user", Annotation: "str"}, {Name: "senha", Annotation: "str"}, {Name: "keys", Annotation: "list[SecretBytes]"},
	}}}}
	f := distro.Function{Name: "f", Parameters: []distro.Parameter{
		{Name: "account", Kind: distro.PositionalOrKeyword, Annotation: "Account"}, {Name: "all", Kind: distro.PositionalOrKeyword, Annotation: "list[Account]"},
		{Name: "token", Kind: distro.PositionalOrKeyword}, {Name: "tokens", Kind: distro.PositionalOrKeyword, Annotation: "dict[str, SecretStr]"},
	}}
	fm, err := form.New(&m, f, form.Options{Depth: depth})
	if err != nil {
		t.Fatal(err)
	}
	asked := url.Values{"n:kw.all": {"1"}}
	for _, name := range []string{"kw.account.user", "kw.all.0.user", "kw.account.senha", "kw.account.keys", "kw.all.0.senha", "kw.token", "kw.tokens"} {
		asked.Set(name, "x")
	}
	a := fm.Blank(url.Values{}, reader())
	a.Ask(asked)
	for name := range asked {
		want := ""
		switch name {
		case "n:kw.all":
			want = "1"
		case "kw.account.user", "kw.all.0.user":
			want = "x"
		}
		if got := a.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
