package dashboard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
)

func TestArgumentsThatAreTooMuchForAPageAreCut(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const depth = 5000
	for id, args := range map[string]string{
		"long": `["` + strings.Repeat("á", 200_000) + `", "last"]`,
		"many": "[" + strings.Repeat("1, ", 100_000) + "2]",
		"deep": "[" + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "]",
	} {
		b.enqueue(distro.Job{ID: id, Queue: "high", Function: "m.f", Timeout: time.Minute, Payload: distro.Payload{
			Serializer: distro.SerializerJSON, Data: fmt.Appendf(nil, `["m.f", null, %s, {"k": [1]}]`, args),
		}})
		page := b.get("/jobs/" + id + "?tab=arguments")
		if len(page) > 600<<10 {
			t.Errorf("the page of arguments that are %s has %d bytes", id, len(page))
		}
		if cut := strings.Contains(page, "only their beginning is shown"); cut != (id != "deep") {
			t.Errorf("the page of arguments that are %s says %v of their being cut", id, cut)
		}
	}
	has(t, b.get("/jobs/long?tab=arguments"), "ááá…</pre>", "<pre>last</pre>")
}

func TestNamesInTopicsAreEscaped(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.enqueue(distro.Job{ID: "a b,c", Queue: "two words", Function: "m.f", Timeout: time.Minute, Payload: distro.Payload{
		Serializer: distro.SerializerJSON, Data: []byte(`["m.f", null, [], {}]`),
	}})
	has(t, b.get("/jobs/a%20b,c"), `data-live="job:a%20b%2Cc"`)
	has(t, b.get("/queues/two%20words"), `data-live="queue:two%20words overview"`)
}
