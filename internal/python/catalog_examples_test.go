package python_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/python"
)

const examples = "../../examples/automations"

func TestTheExamplesCanBeCalled(t *testing.T) {
	t.Parallel()
	b := newModules(t, func(o *python.CatalogOptions) { o.Dir = examples })
	modules, err := b.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, module := range modules {
		if module.Error != nil || module.Shadows || module.Doc == "" {
			t.Errorf("%s: %+v, shadows: %v, docstring %q", module.Name, module.Error, module.Shadows, module.Doc)
		}
		for _, f := range module.Functions {
			got = append(got, module.Name+"."+f.Name)
			if err := python.CheckCall(f, 0, nil); err != nil || f.Doc == "" {
				t.Errorf("%s.%s without arguments: %v, docstring %q", module.Name, f.Name, err, f.Doc)
			}
		}
	}
	want := []string{
		"cleaner.clean", "database.load", "fails.always_fails", "fails.fails_at_first", "health.check", "health.check_all",
		"hello_world.send_hello_world", "report.build", "report.opcoes_month", "slow.count",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
}

func TestTheExamplesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"hello_world.send_hello_world()":                                                     "'Hello World!'",
		"report.build(month='2026-10', pause=0)['cities']['Belém']":                          "4522.1",
		"open(report.build('2026-09', pause=0)['file'], encoding='utf-8').readline()":        `'city;total\n'`,
		"cleaner.clean()['removed']":                                                         "['backup/2025.zip', 'mes-passado.log', 'notas.txt']",
		"cleaner.clean(pattern='*.log', dry_run=False)['removed']":                           "['mes-passado.log']",
		"database.load('sales.db')['rows'] + database.load('sales.db')['rows']":              "370",
		"database.load()['top'][0]":                                                          "'Açaí 1 L'",
		"asyncio.run(health.check_all(['http://127.0.0.1:1/', 'file:///etc/passwd']))['up']": "0",
		"slow.count(3, 0)":                  "3",
		"report.opcoes_month()":             "['2026-08', '2026-09', '2026-10']",
		"fails.fails_at_first(1)":           "'aceito na tentativa 1'",
		"fails.fails_at_first(2)":           "SupplierError('tentativa 1 recusada')",
		"fails.always_fails('sem estoque')": "SupplierError('pedido 4711 recusado: sem estoque')",
		"report.build('1999-01')":           "ValueError('nenhuma venda em 1999-01: há 2026-08, 2026-09, 2026-10')",
	} {
		folder, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		artifacts := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "python3", "-B", "-X", "utf8", "-c", `
import sys
sys.path.insert(0, sys.argv[1])
import asyncio, cleaner, database, fails, health, hello_world, report, slow
try:
    print(repr(eval(sys.argv[2])))
except Exception as error:
    print(repr(error))
`, folder+"/"+examples, expression)
		cmd.Dir, cmd.Env = artifacts, append(os.Environ(), "DISTRO_ARTIFACTS="+artifacts)
		out, err := cmd.Output()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if got := lines[len(lines)-1]; err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", expression, got, err, want)
		}
	}
}
