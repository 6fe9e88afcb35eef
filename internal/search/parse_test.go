package search_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/search"
)

// options are a Monday afternoon in São Paulo.
func options() search.Options {
	zone := time.FixedZone("-03", -3*60*60)
	return search.Options{Now: time.Date(2026, 11, 23, 14, 5, 0, 0, zone), Zone: zone}
}

func parse(t *testing.T, text string) search.Expr {
	t.Helper()
	e, err := search.Parse(text, options())
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return e
}

func TestTextsInBothLanguagesMeanTheSame(t *testing.T) {
	t.Parallel()
	for want, texts := range map[string][]string{
		"":                              {"", "  \t\n"},
		"state:failed":                  {"estado:falhou", "state:failed", "STATUS:Failed", "Estado:FALHOU", `estado:"falhou"`, "(estado:falhou)", "--estado:falhou"},
		"state:finished":                {"estado:concluída", "estado:concluida", "ESTADO:CONCLUÍDA", "state:finished", "estado:concluída"},
		"state:started":                 {"estado:em-execução", "estado:em_execucao", `estado:"em execução"`, "state:started", "state:running"},
		"state:stopped":                 {"estado:parada", "state:stopped"},
		"state:lost":                    {"estado:perdida", "state:lost"},
		"state:retried":                 {"estado:repetida", "state:retried"},
		"state:queued":                  {"estado:na-fila", "state:queued"},
		"state:scheduled":               {"estado:agendada", "state:scheduled"},
		"state:deferred":                {"estado:adiada", "state:deferred"},
		"state:canceled":                {"estado:cancelada", "state:canceled"},
		"queue:high":                    {"fila:high", "queue:high", `fila:"high"`},
		"function:*nfse*":               {"função:nfse", "funcao:nfse", "function:nfse", "func:nfse", "FUNÇÃO:nfse", "func:*nfse*", "func:**nfse*"},
		`function:"fiscal.nfse"`:        {`função:"fiscal.nfse"`},
		"function:fiscal.*":             {"função:fiscal.*", `função:"fiscal.*"`},
		"module:*fiscal*":               {"módulo:fiscal", "modulo:fiscal", "module:fiscal"},
		`args:"ACME"`:                   {`args:"ACME"`, `argumentos:"ACME"`, `arguments:"ACME"`},
		"args:ACME":                     {"args:ACME"},
		"error:Timeout":                 {"erro:Timeout", "error:Timeout"},
		"worker:rpa-*":                  {"worker:rpa-*"},
		"id:4f1a":                       {"id:4f1a"},
		"trigger:schedule":              {"origem:schedule", "trigger:schedule"},
		"took:>5m":                      {"duração:>5m", "duracao:>5m", "duration:>5m", "took:>5m", "took:>300", "took:>300s", "took:>5min", "duração>5m", "took>300s"},
		"took:>=1h30m":                  {"duração:>=1h30m", "took:>=1.5h", "took:>=1,5h", "took:>=90m"},
		"waited:<250ms":                 {"espera:<250ms", "waited:<0.25s"},
		"took:<=168h":                   {"took:<=7d", "took:<=1w", "took:<=1sem"},
		"took:>=5m took:<6m":            {"took:5m"},
		"took:>=1.5s took:<1.6s":        {"took:1.5s"},
		"took:>=1m took:<=1h":           {"took:1m..1h"},
		"took:>=1m":                     {"took:1m.."},
		"took:<=1h":                     {"took:..1h"},
		`kw.cliente=ACME`:               {"kw.cliente=ACME", "KW.Cliente=ACME", `kw.cliente:"ACME"`},
		`kw.cliente="ACME Ltda*"`:       {`kw.cliente="ACME Ltda*"`},
		`kw.x=""`:                       {`kw.x=""`},
		`"conexão recusada"`:            {`"conexão recusada"`},
		`"say \"hi\" C:\\x"`:            {`"say \"hi\" C:\x"`, `"say \"hi\" C:\\x"`},
		"12:30":                         {"12:30"},
		"a b":                           {"a b", "a AND b", "(a) (b)", "(a b)", "a\tb"},
		"a OR b":                        {"a OR b", "a OU b", "(a OR b)", "((a) OR (b))"},
		"a b OR c d":                    {"a b OR c d", "(a b) OR (c d)", "a b OR (c AND d)"},
		"a (b OR c)":                    {"a (b OR c)", "a AND (b OU c)"},
		"-a -(b c) -(d OR e)":           {"-a -(b c) -(d OR e)"},
		`-"OR" or`:                      {`-"OR" or`},
		"a OR b OR c":                   {"a OR (b OR c)", "(a OR b) OR c"},
		"when:>=2026-11-23T03:00:00Z":   {"quando:>=hoje", "when:>=today", "when:hoje.."},
		"when:>=2026-11-24T03:00:00Z":   {"quando:>hoje", "when:>2026-11-23"},
		"when:<2026-11-23T03:00:00Z":    {"quando:<hoje", "quando:<=ontem", "quando:..ontem", "when:<=2026-11-22"},
		"when:>=2026-11-23T15:05:00Z":   {"quando:2h", "when:>2h", "when:>=2h", "when:120min"},
		"when:<2026-11-16T17:05:00Z":    {"quando:<7d", "when:<=1w"},
		"when:>=2026-11-23T17:04:00Z":   {"quando:agora", "when:now"},
		"when:>=2026-11-23T17:05:00Z":   {"quando:>agora"},
		"when:>=2026-10-01T11:00:00.5Z": {"when:>=2026-10-01T08:00:00.5", "when:>=2026-10-01T08:00:00.5-03:00", "when:>=2026-10-01t11:00:00.5z"},
		"when:>=2026-10-01T11:00:01Z":   {"when:>2026-10-01T08:00:00"},
		"when:>=2026-11-22T03:00:00Z when:<2026-11-23T03:00:00Z":    {"quando:ontem", "when:yesterday", "when:2026-11-22", "when:ontem..ontem"},
		"when:>=2026-10-01T03:00:00Z when:<2026-11-01T03:00:00Z":    {"quando:2026-10", "when:2026-10-01..2026-10-31", "when:2026-10..2026-10"},
		"when:>=2026-01-01T03:00:00Z when:<2027-01-01T03:00:00Z":    {"quando:2026"},
		"when:>=2026-10-01T11:30:00Z when:<2026-10-01T11:31:00Z":    {"when:2026-10-01T08:30", "when:2026-10-01T08:30-03:00"},
		"when:>=2026-11-16T17:05:00Z when:<2026-11-23T17:05:00Z":    {"when:7d..agora"},
		"-(when:>=2026-11-23T03:00:00Z when:<2026-11-24T03:00:00Z)": {"-quando:hoje"},
	} {
		for _, text := range texts {
			e := parse(t, text)
			if got := e.String(); got != want {
				t.Errorf("%q is %q, want %q", text, got, want)
			}
			if diff := cmp.Diff(e, parse(t, e.String())); diff != "" {
				t.Errorf("%q and %q differ: %s", text, want, diff)
			}
		}
	}
}

func TestTheTreeIsTyped(t *testing.T) {
	t.Parallel()
	got := parse(t, `estado:falhou (fila:high OR -worker:"rpa 03") função:nfse kw.mes=10 "tempo esgotado" args:AC duração:>5m quando:>=2026-10-01`)
	want := search.And{
		search.State{Value: "failed"},
		search.Or{
			search.Name{Field: search.FieldQueue, Pattern: "high"},
			search.Not{Of: search.Name{Field: search.FieldWorker, Pattern: "rpa 03"}},
		},
		search.Name{Field: search.FieldFunction, Pattern: "*nfse*"},
		search.Keyword{Name: "mes", Pattern: "10"},
		search.Text{Phrase: "tempo esgotado", Exact: true},
		search.Text{Field: search.FieldArgs, Phrase: "AC"},
		search.Duration{Field: search.FieldTook, Op: search.Above, Value: 5 * time.Minute},
		search.Moment{Op: search.AtLeast, At: time.Date(2026, 10, 1, 3, 0, 0, 0, time.UTC)},
	}
	if diff := cmp.Diff(search.Expr(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsPointAtWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text    string
		column  int
		kind    search.Kind
		nearest string
		message string
	}{
		{"fila:high estdo:falhou", 11, search.UnknownField, "estado", `unknown field "estdo" (did you mean estado?)`},
		{"funcão:x fuction:y", 10, search.UnknownField, "function", "fuction"},
		{"ação:x moduloo:y", 1, search.UnknownField, "função", "in quotes"},
		{"https://example.com", 1, search.UnknownField, "status", "put it in quotes"},
		{"estado:falhow", 8, search.UnknownValue, "falhou", `unknown state "falhow"`},
		{`ção estado:"em execusão"`, 12, search.UnknownValue, "em-execução", "unknown state"},
		{"duração:rapida", 9, search.UnknownValue, "", "write it like >5m"},
		{"took:>5x", 6, search.UnknownValue, "", `unknown duration "5x"`},
		{"took:5m..", 0, "", "", ""},
		{"took:..", 6, search.UnknownValue, "", "unknown duration"},
		{"took:2h..1h", 6, search.Syntax, "", "ends before it begins"},
		{"took:-5m", 6, search.UnknownValue, "", "unknown duration"},
		{"took:99999999d", 6, search.UnknownValue, "", "unknown duration"},
		{"quando:onten", 8, search.UnknownValue, "ontem", "did you mean ontem?"},
		{"quando:2026-13-01", 8, search.UnknownValue, "", "write it like hoje"},
		{"quando:2026-02-30", 8, search.UnknownValue, "", "unknown time"},
		{"quando:0001", 8, search.UnknownValue, "", "out of range"},
		{"quando:9999", 8, search.UnknownValue, "", "unknown time"},
		{"quando:2026-10-31..2026-10-01", 8, search.Syntax, "", "ends before it begins"},
		{"fila:", 1, search.Syntax, "", "a value is missing behind fila:"},
		{"a fila: b", 3, search.Syntax, "", "a value is missing"},
		{"kw.=x", 1, search.Syntax, "", "the name of the argument is missing"},
		{"kw.x=", 1, search.Syntax, "", "a value is missing"},
		{"a (b", 3, search.Syntax, "", "no ) for this ("},
		{"a b)", 4, search.Syntax, "", "no ( for this )"},
		{")", 1, search.Syntax, "", "no ( for this )"},
		{"a ()", 3, search.Syntax, "", "nothing stands behind this"},
		{"(", 1, search.Syntax, "", "nothing stands behind this"},
		{"OR a", 1, search.Syntax, "", "nothing stands before this"},
		{"a OR", 3, search.Syntax, "", "nothing stands behind this"},
		{"a OR  OR b", 3, search.Syntax, "", "nothing stands behind this"},
		{"(a OU )", 4, search.Syntax, "", "nothing stands behind this"},
		{"AND a", 1, search.Syntax, "", "both sides"},
		{"a AND", 3, search.Syntax, "", "nothing stands behind this"},
		{"a AND OR b", 3, search.Syntax, "", "nothing stands behind this"},
		{"-OR", 2, search.Syntax, "", "in quotes it is a word"},
		{"a - b", 3, search.Syntax, "", "nothing stands behind this -"},
		{`é "aberta`, 3, search.Syntax, "", "this quote is not closed"},
		{`erro:"\"`, 6, search.Syntax, "", "this quote is not closed"},
		{"args:---", 6, search.Syntax, "", "no letter or digit"},
		{`""`, 1, search.Syntax, "", "no letter or digit"},
		{"a\x00b", 2, search.Syntax, "", "control character"},
		{"é\xff", 2, search.Syntax, "", "not UTF-8"},
		{strings.Repeat("(", 21) + "a" + strings.Repeat(")", 21), 21, search.TooLarge, "", "within each other"},
		{strings.Repeat("a ", 51), 101, search.TooLarge, "", "more than 50 conditions"},
		{strings.Repeat("é", 4001), 4001, search.TooLarge, "", "4000 characters at most"},
		{`"` + strings.Repeat(`a\`, 1998) + `a"`, 3999, search.TooLarge, "", "4000 characters at most"},
	} {
		_, err := search.Parse(tt.text, options())
		if tt.column == 0 {
			if err != nil {
				t.Errorf("%q: %v", tt.text, err)
			}
			continue
		}
		e, ok := errors.AsType[*search.Error](err)
		if !ok {
			t.Errorf("%.40q was accepted, or: %v", tt.text, err)
			continue
		}
		if e.Column != tt.column || e.Kind != tt.kind || e.Nearest != tt.nearest || !strings.Contains(e.Message, tt.message) {
			t.Errorf("%.40q: column %d, kind %s, nearest %q: %s", tt.text, e.Column, e.Kind, e.Nearest, e.Message)
		}
	}
}
