package search_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/search"
)

// failedExecution ran for six minutes in the morning of the day before.
func failedExecution() *distro.Execution {
	start := time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	return &distro.Execution{
		JobID: "Job-1", Run: "r", Attempt: 2, Module: "fiscal.notas", Function: "emitir_nfse", Queue: "high",
		Arguments: `'São Paulo', 10, cliente='ACME Ltda', itens=[1, (2, 'a, b=c')], nota="d'água", url='https://x/?k=v'`,
		State:     distro.ExecutionFailed, Worker: "rpa-03", Trigger: "api",
		EnqueuedAt: start.Add(-90 * time.Second), StartedAt: start, EndedAt: start.Add(6 * time.Minute),
		Failure: &distro.Failure{Kind: distro.FailureException, Type: "selenium.common.TimeoutException", Message: "Conexão recusada: 10.0.0.7"},
	}
}

func TestAnExecutionMatchesWhatItIs(t *testing.T) {
	t.Parallel()
	x := failedExecution()
	for text, want := range map[string]bool{
		"":                                  true,
		"estado:falhou":                     true,
		"estado:perdida":                    false,
		"fila:high":                         true,
		"fila:HIGH":                         true,
		"fila:hig":                          false,
		"fila:h*":                           true,
		"fila:*":                            true,
		"função:nfse":                       true,
		"função:notas.emitir":               true,
		`função:"emitir_nfse"`:              false,
		`função:"fiscal.notas.emitir_nfse"`: true,
		"função:*.emitir_*":                 true,
		"função:*.emitir":                   false,
		"módulo:notas":                      true,
		`módulo:"fiscal"`:                   false,
		"módulo:fiscal.*":                   true,
		"worker:rpa-*":                      true,
		"worker:rpa":                        false,
		"origem:api":                        true,
		"id:Job-1":                          true,
		"id:job-1":                          false,
		"id:Job*":                           true,
		"args:acme":                         true,
		`args:"acme ltda"`:                  true,
		`args:"ltda acme"`:                  false,
		`args:"acm"`:                        false,
		"args:acm":                          true,
		"args:cme":                          false,
		`args:"sao paulo"`:                  true,
		`args:"cliente acme"`:               true,
		"erro:timeout":                      true,
		`erro:"conexao recusada"`:           true,
		"erro:10.0.0":                       true,
		"erro:acme":                         false,
		"nfse":                              true,
		"ACME":                              true,
		"recusada":                          true,
		"rpa":                               false,
		`kw.cliente="acme ltda"`:            true,
		"kw.cliente=acme":                   false,
		"kw.cliente=acme*":                  true,
		"kw.cliente=*":                      true,
		"kw.mes=10":                         false,
		"kw.b=c":                            false,
		"kw.k=v":                            false,
		`kw.itens="[1, (2, 'a, b=c')]"`:     true,
		"kw.nota=d'agua":                    true,
		"duração:>5m":                       true,
		"duração:>6m":                       false,
		"duração:>=6m":                      true,
		"duração:6m":                        true,
		"duração:<6m":                       false,
		"duração:<=6m":                      true,
		"duração:5m..7m":                    true,
		"espera:90s":                        true,
		"espera:1m..":                       true,
		"espera:>90s":                       false,
		"quando:ontem":                      true,
		"quando:hoje":                       false,
		"quando:2026-11":                    true,
		"quando:<hoje":                      true,
		"quando:24h":                        false,
		"quando:2d":                         true,
		"-estado:falhou":                    false,
		"-fila:low":                         true,
		"fila:high fila:low":                false,
		"fila:high OR fila:low":             true,
		"fila:low OR -(args:acme OR a)":     false,
		"fila:low fila:x OR estado:falhou":  true,
	} {
		if got := parse(t, text).Match(x); got != want {
			t.Errorf("%q matches: %t", text, got)
		}
	}
}

func TestWhatIsUnknownMatchesNoComparisonAndItsNegation(t *testing.T) {
	t.Parallel()
	x := &distro.Execution{State: distro.ExecutionStarted}
	for _, text := range []string{"took:<5m", "took:>=0", "waited:>=0", "quando:<2030", "quando:>=1970", "erro:x", "fila:default", "nfse", "kw.a=*"} {
		if parse(t, text).Match(x) {
			t.Errorf("%q matches", text)
		}
		if !parse(t, "-"+text).Match(x) {
			t.Errorf("-%q does not match", text)
		}
	}
	if !parse(t, `worker:""`).Match(x) {
		t.Error("the empty worker has another name")
	}
	x.EnqueuedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	if !parse(t, "quando:ontem").Match(x) {
		t.Error("an execution that has not started is not found by its enqueue time")
	}
}

func TestJobsAreSearchedWithTheSameLanguage(t *testing.T) {
	t.Parallel()
	job := &distro.Job{
		ID: "j", Queue: "low", Function: "pkg.report.build", Status: distro.StatusScheduled,
		CreatedAt: options().Now, DueAt: options().Now.Add(time.Hour),
	}
	for text, want := range map[string]bool{
		"estado:agendada fila:low": true, "estado:na-fila": false, "quando:>agora": true, `módulo:"pkg.report"`: true,
		"kw.year=2026": true, "build": true, "2026": true,
	} {
		if got := search.MatchJob(parse(t, text), job, "year=2026"); got != want {
			t.Errorf("%q matches: %t", text, got)
		}
	}
	job.Status, job.Result = distro.StatusFailed, &distro.Result{Failure: &distro.Failure{Type: "ValueError", Message: "no"}}
	if !search.MatchJob(parse(t, "estado:falhou erro:valueerror"), job, "") {
		t.Error("the failure of a job is not found")
	}
}

func TestTextsFoldToTheirBareLetters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "abc_1": "abc_1", "ABC": "abc", "ÁÉÍÓÚÇÃÕ àêüñ": "aeioucao aeun", "Ação": "acao", "Łódź Øre İI ı": "lodz ore ii i",
		"日本 ЯЖ ß": "日本 яж ss", "K": "k",
	} {
		if got := search.Fold(text); got != want {
			t.Errorf("Fold(%q) = %q, want %q", text, got, want)
		}
	}
	got := search.Words(`  cliente='ACME & Filhos', "d'água", 10.5, [] _x_ `)
	if diff := cmp.Diff([]string{"cliente", "acme", "filhos", "d", "agua", "10", "5", "x"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheWordsOfAKeywordAreInAllValuesItMatches(t *testing.T) {
	t.Parallel()
	type narrow struct {
		Words  []string
		Prefix bool
	}
	for text, want := range map[string]narrow{
		`kw.cliente="ACME Ltda"`: {[]string{"acme", "ltda"}, false},
		"kw.cliente=ACME*":       {[]string{"acme"}, true},
		"kw.cliente=*ACME":       {},
		"kw.cliente=*":           {nil, true},
		"kw.mes_ref=10":          {[]string{"10"}, false},
		"kw.a=\"b\nc\"":          {},
	} {
		words, prefix := parse(t, text).(search.Keyword).Words()
		if diff := cmp.Diff(want, narrow{words, prefix}, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	if !parse(t, "kw.a=\"b\nc\"").(search.Keyword).Matches(`x, a='b\nc'`) {
		t.Error("the text of a string is not what it spells")
	}
}
