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
