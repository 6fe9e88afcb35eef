package httpapi_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func TestMetricsAreServedToThoseWithTheToken(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken, func(o *httpapi.Options) {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "distro_up 1\n") })
	})
	if w := b.do("GET", "/metrics", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", w.Code)
	}
	if w := b.do("GET", "/metrics", "", "Authorization", "Bearer "+secret); w.Code != http.StatusOK || w.Body.String() != "distro_up 1\n" {
		t.Errorf("with the token: %d %s", w.Code, w.Body)
	}
	if w := setup(t).do("GET", "/metrics", ""); w.Code != http.StatusNotFound {
		t.Errorf("where there are none: %d", w.Code)
	}
}
