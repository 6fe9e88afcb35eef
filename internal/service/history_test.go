package service_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/store"
)

// remembering is a service with an empty history.
func remembering(t *testing.T) (*bundle, *store.Store) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "history.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return setup(t, open(t), func(o *service.Options) { o.History = s }), s
}

// varied are executions that differ in what searches look at.
func varied(n int) []distro.Execution {
	arguments := []string{
		"'relatório mensal', mes=3", "'mensal relatório', mes=13", "mes='3 1', outro=3", "cliente='ACME Ltda', nome='x'",
		"nome='ACME Ltda'", "cliente='Ltda ACME'", "x=[3], mes=31", "",
	}
	failures := []*distro.Failure{
		nil, {Type: "requests.ConnectTimeout", Message: "no answer"}, {Type: "ValueError", Message: "answer: no timeout"}, nil, nil,
	}
	list := make([]distro.Execution, n)
	for i := range list {
		at := start.Add(time.Duration(i) * time.Minute)
		list[i] = distro.Execution{
			JobID: fmt.Sprintf("job-%d", i), Run: fmt.Sprintf("run-%d", i), Attempt: 1, State: distro.ExecutionFinished,
			Module: []string{"report", "robot.nfse"}[i%2], Function: []string{"build", "emitir", "timeout"}[i%3],
			Queue: []string{"low", "high"}[i/2%2], Worker: fmt.Sprintf("w%d", i%3), Trigger: []string{"api", "schedule"}[i/4%2],
			Arguments: arguments[i%len(arguments)], Failure: failures[i%len(failures)],
			EnqueuedAt: at.Add(-time.Duration(i%7) * time.Second), StartedAt: at, EndedAt: at.Add(time.Duration(i%11) * time.Second),
		}
		if list[i].Failure != nil {
			list[i].State = distro.ExecutionFailed
		}
	}
	return list
}

func TestASearchFindsWhatTheLanguageMeansPageByPage(t *testing.T) {
	t.Parallel()
	s, history := remembering(t)
	all := varied(120)
	if err := history.Record(t.Context(), all, "", ""); err != nil {
		t.Fatal(err)
	}
	sought := map[string]bool{} // whether something matched
	for _, query := range []string{
		"", "mensal", `"relatório mensal"`, `args:"mensal relatorio"`, `-"relatório mensal"`, `-args:"mensal relatório" mensal`,
		"kw.mes=3", "kw.mes=3*", "kw.mes=*1", "-kw.mes=3", `-kw.mes=3*`, `kw.cliente="acme ltda"`, `-kw.cliente="acme ltda" acme`, "kw.cliente=*",
		`kw.cliente="ACME*" OR kw.nome=*ltda`, "timeout", `erro:"no answer"`, `-erro:"no answer" estado:falhou`, "erro:timeout",
		"função:report.*", "-função:*.emitir fila:high", "módulo:robot.nfse", "worker:w1 origem:schedule", "-worker:w*", "id:job-7", "-id:job-7",
		"espera>3s", "-espera>3s", "espera<=1s -estado:falhou", "duração>5s", "-duração>=5s", "-(duração<2s OR espera>=5s)",
		`-(kw.mes=3 OR -"mensal relatório")`, `-(estado:falhou -erro:"answer no")`,
		"quando>2026-10-31T08:30", "-quando>2026-10-31T08:30 mensal",
	} {
		expr, err := search.Parse(query, search.Options{Now: start})
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		want := []string{}
		for i := range slices.Backward(all) {
			if expr.Match(&all[i]) {
				want = append(want, all[i].JobID)
			}
		}
		got := []string{}
		for page, cursor := 1, ""; page == 1 || cursor != ""; page++ {
			found, err := s.Executions(t.Context(), query, cursor, 2)
			if err != nil || len(found.Executions) > 2 || page > len(all) {
				t.Fatalf("%s: page %d of %d executions, error %v", query, page, len(found.Executions), err)
			}
			for i := range found.Executions {
				got = append(got, found.Executions[i].JobID)
			}
			cursor = found.Next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", query, diff)
		}
		if n, exact, err := s.CountExecutions(t.Context(), query); err != nil || exact && n != len(want) {
			t.Errorf("%s: counted %d (exact: %v), want %d, error %v", query, n, exact, len(want), err)
		}
		sought[query] = len(want) > 0 && (query == "" || len(want) < len(all))
	}
	for query, selective := range sought {
		if !selective && query != "-worker:w*" {
			t.Errorf("%s selects all or nothing: it shows little", query)
		}
	}
}

func TestAnOperationActsOnNothingButWhatItsSearchMeans(t *testing.T) {
	t.Parallel()
	s, history := remembering(t)
	var executions []distro.Execution
	phrases := []string{"relatório mensal", "mensal relatório", "relatório mensal", "outro"}
	for _, phrase := range phrases {
		job := s.enqueue(service.Request{Kwargs: []byte(fmt.Sprintf(`{"nome": %q}`, phrase))})
		executions = append(executions, distro.Execution{
			JobID: job.ID, Run: "run-" + job.ID, Attempt: 1, State: distro.ExecutionFailed, Module: "a.b", Function: "f", Queue: job.Queue,
			Arguments: fmt.Sprintf("nome='%s'", phrase), StartedAt: start, EndedAt: start.Add(time.Second),
		})
	}
	if err := history.Record(t.Context(), executions, "", ""); err != nil {
		t.Fatal(err)
	}
	begun, err := s.StartOperation(t.Context(), "", broker.ActionDelete, service.Selection{Query: `"relatório mensal" quando:hoje`}, "ana")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := search.Parse(begun.Selection.Query, search.Options{Now: start.AddDate(0, 1, 0)}); err != nil || !again.Match(&executions[0]) {
		t.Errorf("a month later %q means something else, error %v", begun.Selection.Query, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.RunOperations(ctx) }()
	var ended service.Operation
	for end := time.Now().Add(time.Minute); ended.EndedAt.IsZero() && time.Now().Before(end); {
		if ended, err = s.Operation(t.Context(), begun.ID); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if ended.State != store.OperationDone || ended.Done != 2 || ended.Total != 2 || ended.Skipped+ended.Failed != 0 {
		t.Errorf("operation: %+v", ended)
	}
	for i, phrase := range phrases {
		_, err := s.Get(t.Context(), executions[i].JobID)
		if gone := distro.ErrorCode(err) == distro.CodeNotFound; gone != (phrase == "relatório mensal") {
			t.Errorf("the job of %q is gone: %v, error %v", phrase, gone, err)
		}
	}
}

// narrow is history that has no room for some attempts to save an operation.
type narrow struct {
	*store.Store
	refusals int
}

func (n *narrow) SaveOperation(ctx context.Context, o store.Operation) (store.Operation, error) {
	if n.refusals > 0 {
		n.refusals--
		return store.Operation{}, fmt.Errorf("save: %w", store.ErrFull)
	}
	return n.Store.SaveOperation(ctx, o)
}

func TestAnOperationCountsWhatItDidWhileHistoryHasNoRoom(t *testing.T) {
	t.Parallel()
	_, history := remembering(t)
	n := &narrow{Store: history}
	s := setup(t, open(t), func(o *service.Options) { o.History = n })
	const jobs = 300 // two steps
	for range jobs {
		s.enqueue(service.Request{})
	}
	begun, err := s.StartOperation(t.Context(), "", broker.ActionCancel, service.Selection{Status: distro.StatusQueued}, "ana")
	if err != nil {
		t.Fatal(err)
	}
	n.refusals = 2
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.RunOperations(ctx) }()
	var o service.Operation
	for end := time.Now().Add(time.Minute); o.EndedAt.IsZero() && time.Now().Before(end); {
		if o, err = s.Operation(t.Context(), begun.ID); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if o.State != store.OperationDone || o.Done != jobs || o.Skipped+o.Failed != 0 {
		t.Errorf("operation: %+v", o)
	}
}

func TestASearchThatMeansTooManyNamesIsRefused(t *testing.T) {
	t.Parallel()
	s, history := remembering(t)
	many := varied(501)
	for i := range many {
		many[i].Worker = fmt.Sprintf("robot-%d", i)
	}
	if err := history.Record(t.Context(), many, "", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Executions(t.Context(), "worker:robot-*", "", 10); distro.ErrorCode(err) != distro.CodeInvalid {
		t.Errorf("501 names: error %v", err)
	}
	if found, err := s.Executions(t.Context(), "worker:robot-1*", "", 200); err != nil || len(found.Executions) != 111 {
		t.Errorf("111 names: %d executions, error %v", len(found.Executions), err)
	}
}

func TestTheOverviewTellsWhatFailedMostOften(t *testing.T) {
	t.Parallel()
	s, history := remembering(t)
	all := varied(40)
	for i := range all { // all ended in the hour before now
		at := start.Add(-time.Duration(40-i) * time.Minute)
		all[i].StartedAt, all[i].EndedAt = at, at.Add(time.Second)
	}
	all[39].State, all[39].Failure = distro.ExecutionStarted, nil
	all[39].EndedAt = time.Time{}
	if err := history.Record(t.Context(), all, "", ""); err != nil {
		t.Fatal(err)
	}
	o, err := s.Overview(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want, ended := map[string]int{}, map[distro.ExecutionState]int{}
	newest := map[string]string{}
	for _, e := range all[:39] {
		ended[e.State]++
		if e.State == distro.ExecutionFailed {
			want[e.Module+"."+e.Function]++
			newest[e.Module+"."+e.Function] = e.JobID
		}
	}
	if diff := cmp.Diff(ended, o.Ended); diff != "" {
		t.Error(diff)
	}
	got := map[string]int{}
	for i, f := range o.Failing {
		got[f.Function] = f.Failed
		if f.Last.JobID != newest[f.Function] || f.Ended < f.Failed || i > 0 && f.Failed > o.Failing[i-1].Failed {
			t.Errorf("failing: %+v", f)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if o.Took.Count != 39 || o.Took.P50 < 500*time.Millisecond || o.Took.P50 > 2*time.Second {
		t.Errorf("took: %+v", o.Took)
	}
}
