package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// faulty is a broker whose storage is at fault.
type faulty struct {
	broker.Broker
	err error
}

func (f faulty) Enqueue(context.Context, []distro.Job) ([]broker.EnqueueResult, error) {
	if f.err == nil {
		panic("a bug")
	}
	return nil, f.err
}

func TestAQueueThatIsAwayIsToldWithTheReason(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"dial tcp 127.0.0.1:6379: connection refused": errors.New("dial tcp 127.0.0.1:6379: connection refused"),
		"it does not answer in time":                  context.DeadlineExceeded,
	} {
		b := setupOver(t, faulty{err: fmt.Errorf("enqueue: %w: %w", broker.ErrUnavailable, err)}, func(*httpapi.Options) {})
		w := b.do("POST", "/scheduler/queue-task", task(`"queue":"low"`))
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the queue cannot be reached ("+name+"); try again") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// mixed is a broker with workers of two makes.
type mixed struct{ broker.Broker }

func (mixed) Workers(context.Context) ([]distro.Worker, error) {
	return []distro.Worker{
		{Name: "ours", Queues: []string{"low"}}, {Name: "stock", Queues: []string{"high", "low"}, Stock: true},
		{Name: "elsewhere", Queues: []string{"high"}, Stock: true},
	}, nil
}

func TestPauseNamesTheWorkersThatIgnoreIt(t *testing.T) {
	t.Parallel()
	b := setupOver(t, mixed{brokertest.NewModel(broker.SystemClock(), 10)}, func(*httpapi.Options) {})
	answer := ask[httpapi.PausedQueue](b, 200, "POST", "/api/v1/queues/low/pause", "")
	if !answer.Paused || answer.Name != "low" || len(answer.IgnoredBy) != 1 || answer.IgnoredBy[0] != "stock" {
		t.Errorf("%+v", answer)
	}
	if again := ask[httpapi.PausedQueue](b, 200, "POST", "/api/v1/queues/low/resume", ""); again.Paused || again.IgnoredBy != nil {
		t.Errorf("%+v", again)
	}
}

func TestFaultsOfTheQueueAreToldWithoutTheirDetails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"full":   {fmt.Errorf("secret detail: %w", broker.ErrFull), http.StatusInsufficientStorage, "full"},
		"closed": {fmt.Errorf("secret detail: %w", broker.ErrClosed), http.StatusServiceUnavailable, "unavailable"},
		"broken": {errors.New("secret detail"), http.StatusInternalServerError, "internal"},
		"a bug":  {nil, http.StatusInternalServerError, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			b := setupOver(t, faulty{err: tt.err}, func(o *httpapi.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			w := b.do("POST", "/scheduler/queue-task", task(`"queue":"low"`))
			if w.Code != tt.status || !strings.Contains(w.Body.String(), `"code":"`+tt.code+`"`) || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("logged %d lines:\n%s", n, log.String())
			}
		})
	}
}
