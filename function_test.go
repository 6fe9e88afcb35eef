package distro_test

import (
	"testing"

	"github.com/distro-orchestrator/distro"
)

func TestAFunctionOffersTheValuesOfTheParameterInItsName(t *testing.T) {
	t.Parallel()
	takes := func(names ...string) []distro.Parameter {
		var list []distro.Parameter
		for _, name := range names {
			list = append(list, distro.Parameter{Name: name, Kind: distro.PositionalOrKeyword})
		}
		return list
	}
	m := distro.Module{Functions: []distro.Function{
		{Name: "sell", Parameters: takes("who", "n", "opcoes_n")}, {Name: "Shop.buy", Parameters: takes("day")},
		{Name: "options_who"}, {Name: "opcoes_who"}, {Name: "options_day"}, {Name: "opcoes_nobody"}, {Name: "opcoes_"}, {Name: "opcoes_x", Parameters: takes("x")},
		{Name: "opcoes_opcoes_n"}, {Name: "who"},
	}}
	for function, parameter := range map[string]string{
		"opcoes_who": "who", "options_day": "day", "opcoes_opcoes_n": "opcoes_n",
		"options_who": "", "opcoes_nobody": "", "opcoes_": "", "opcoes_x": "", "sell": "", "who": "", "opcoes_n": "",
	} {
		if got := m.OptionsOf(function); got != parameter {
			t.Errorf("%s offers values for %q, want %q", function, got, parameter)
		}
		if f, ok := m.OffersOptions(parameter); parameter != "" && (!ok || f.Name != function) {
			t.Errorf("%s is offered values by %q", parameter, f.Name)
		}
	}
	if m.Functions[0].NeedsArguments() != true || m.Functions[3].NeedsArguments() {
		t.Error("who needs arguments is not known")
	}
}
