package distro_test

import (
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
)

func TestNearestFindsWhatWasMeant(t *testing.T) {
	t.Parallel()
	known := []string{"report", "cleaner", "database", "relatório", "db", "modules_path", "task_retries"}
	for _, test := range []struct{ name, want, why string }{
		{"repot", "report", "a letter missing"},
		{"reportt", "report", "a letter added"},
		{"rebort", "report", "a letter changed"},
		{"erport", "report", "two letters swapped"},
		{"REPORT", "report", "case does not count"},
		{"relatorio", "relatório", "an accent is one slip"},
		{"module_paths", "modules_path", "two slips in a long name"},
		{"task_retry", "task_retries", "three slips in a long name"},
		{"da", "db", "one slip in a short name"},
		{"invoice", "", "nothing is near"},
		{"xy", "", "every letter changed is not near"},
		{"", "", "no name"},
		{strings.Repeat("report", 100), "", "a name of no sensible length"},
	} {
		if got := distro.Nearest(test.name, known); got != test.want {
			t.Errorf("Nearest(%q) = %q, want %q: %s", test.name, got, test.want, test.why)
		}
	}
}

func TestClosestAlwaysFindsOne(t *testing.T) {
	t.Parallel()
	known := []string{"report", "cleaner", "db"}
	for name, want := range map[string]string{"invoice": "report", "": "db", "clean": "cleaner", strings.Repeat("x", 1<<20): "report"} {
		if got := distro.Closest(name, known); got != want {
			t.Errorf("Closest(%.20q) = %q, want %q", name, got, want)
		}
	}
}

func TestNearestPrefersTheNearerAndThenTheFirstName(t *testing.T) {
	t.Parallel()
	if got := distro.Nearest("reports", []string{"resorts", "report", "reporte"}); got != "resorts" {
		t.Errorf("of names as near, got %q, want the first", got)
	}
	if got := distro.Nearest("report", []string{"reporta", "Report"}); got != "Report" {
		t.Errorf("got %q, want the nearer one", got)
	}
	if got := distro.Nearest("a", nil); got != "" {
		t.Errorf("got %q from no names", got)
	}
}
