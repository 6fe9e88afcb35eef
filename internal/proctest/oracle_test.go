package proctest_test

import (
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/proctest"
)

func TestAnOracleAnswers(t *testing.T) {
	t.Parallel()
	o := proctest.StartOracle(t, `
import os, sys
def answer(ask):
    if ask == "end":
        sys.exit("as asked")
    return {"value": eval(ask), "argument": sys.argv[1]}
`, "given")
	var got struct {
		Value    int
		Argument string
	}
	for text, want := range map[string]int{"1 + 1": 2, "len('olá\\n' * 100_000)": 400_000} {
		if err := o.Ask(text, &got); err != nil || got.Value != want || got.Argument != "given" {
			t.Errorf("%s: %+v, %v, want %d", text, got, err, want)
		}
	}
	if err := o.Ask("1 / 0", &got); err == nil || err.Error() != "ZeroDivisionError('division by zero')" {
		t.Errorf("what it cannot answer: %v", err)
	}
	if err := o.Ask("end", &got); err == nil || !strings.HasSuffix(err.Error(), "\nas asked\n") {
		t.Errorf("once it has ended: %v", err)
	}
}
