package service_test

import (
	"testing"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/service"
)

// TestASearchThatGivesUpGoesOnWhereItStopped looks for the oldest of many jobs
// without any time for it.
func TestASearchThatGivesUpGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	want := b.enqueue(service.Request{Args: []byte(`["agulha"]`)}).ID
	for range 300 {
		b.enqueue(service.Request{Args: []byte(`["palha"]`)})
	}
	q := broker.ListQuery{Limit: 5}
	for pages := 1; ; pages++ {
		page, partial, err := b.Search(t.Context(), "agulha", q, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Jobs) == 1 && page.Jobs[0].ID == want {
			if pages < 3 {
				t.Errorf("301 jobs were looked at in %d pages", pages)
			}
			return
		}
		if len(page.Jobs) > 0 || !partial || page.Next == "" {
			t.Fatalf("page %d: %d jobs, partial %v, next %q", pages, len(page.Jobs), partial, page.Next)
		}
		q.Cursor = page.Next
	}
}
