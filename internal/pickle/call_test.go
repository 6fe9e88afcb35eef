package pickle_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/pickle"
)

// call is a call's pickle made by stock RQ, and what RQ says of it.
type call struct {
	Data     string
	Function string `json:"func_name"`
	Instance string
	Args     string
	Kwargs   string
	Text     string `json:"call_string"`
}

func TestCallsOfStockRQAreDescribedAsRQDoes(t *testing.T) {
	t.Parallel()
	var calls []call
	load(t, "calls.json", &calls)
	for _, want := range calls {
		data, err := hex.DecodeString(want.Data)
		if err != nil {
			t.Fatal(err)
		}
		view, err := pickle.Call(data)
		if err != nil {
			t.Errorf("%s: %v", want.Text, err)
			continue
		}
		got := call{
			Data: want.Data, Function: view.Function, Instance: view.Instance, Kwargs: view.Kwargs.Repr(whole), Text: view.Describe(pickle.RQCut),
			Args: view.Args.Repr(whole),
		}
		if want.Instance = strings.TrimPrefix(want.Instance, "None"); want.Instance != "" {
			want.Instance = "fixture_app.Order"
		}
		want.Args = "[" + strings.TrimSuffix(strings.Trim(symbolic(want.Args), "()"), ",") + "]"
		want.Kwargs, want.Text = symbolic(want.Kwargs), symbolic(want.Text)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if name := pickle.Function(data); name != want.Function {
			t.Errorf("%q, want %q", name, want.Function)
		}
	}
}

func TestArgumentsAreDescribedInRQsOrderAndCut(t *testing.T) {
	t.Parallel()
	data, err := pickle.AppendCall(nil, "m.f", []byte(`["`+strings.Repeat("é", 80)+`", 1.0]`), []byte(`{"b":1,"a":{"x":"`+strings.Repeat("y", 80)+`"},"B":null,"a":2}`))
	if err != nil {
		t.Fatal(err)
	}
	view, err := pickle.Call(data)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := view.Describe(pickle.RQCut), "m.f('"+strings.Repeat("é", 74)+"..., 1.0, B=None, a=2, b=1)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (pickle.CallView{Function: "m.f"}).Describe(1); got != "m.f()" {
		t.Error(got)
	}
	data, err = pickle.Append(nil, pickle.Tuple{"m.f", nil, make([]any, 300), pickle.Dict{{1, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	if view, err = pickle.Call(data); err != nil {
		t.Fatal(err)
	}
	if got, want := view.Describe(75), "m.f("+strings.Repeat("None, ", 255)+"1=2, ...)"; got != want {
		t.Error(got)
	}
}

func TestArgumentsThatCannotBeToldAreNotTakenForNone(t *testing.T) {
	t.Parallel()
	call := func(args string) string {
		data, err := pickle.AppendCall(nil, "m.f", []byte(args), nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	ten := strings.Repeat("x", 10)
	for name, tt := range map[string]struct {
		payload string
		isJSON  bool
		want    string
	}{
		"none":              {call("[]"), false, ""},
		"nothing is known":  {"", false, ""},
		"none, as JSON":     {`["m.f", null, [], {}]`, true, ""},
		"no call":           {"N.", false, pickle.Untold},
		"no call, as JSON":  {"[1]", true, pickle.Untold},
		"no JSON":           {"[", true, pickle.Untold},
		"too long to read":  {call(`["` + strings.Repeat("x", 1<<20) + `"]`), false, pickle.Untold},
		"too long as whole": {call("[" + strings.Repeat(`"`+ten+`",`, 200) + "1]"), false, strings.Repeat("'"+ten+"', ", 150)[:2000] + pickle.Untold},
		"no more than some": {call("[" + strings.Repeat("1,", 300) + "1]"), false, strings.Repeat("1, ", 255) + "..."},
	} {
		if got := pickle.Arguments([]byte(tt.payload), tt.isJSON); got != tt.want {
			t.Errorf("%s: %.100q, want %.100q", name, got, tt.want)
		}
	}
}

func TestAnInstanceIsNamedByItsClass(t *testing.T) {
	t.Parallel()
	for instance, want := range map[string]string{
		"N": "", "cm\nC\n)\x81": "m.C", "cm\nC\n": "m.C", "]": "list", "K\x01": "int", "c__builtin__\ngetattr\ncm\nC\nU\x01D\x86R)\x81": "m.C.D",
		"c__builtin__\nset\n]\x85R": "set", "\x88": "bool", "G\x00\x00\x00\x00\x00\x00\x00\x00": "float", "C\x00": "bytes", "}": "dict", "\x8f": "set",
		"U\x01a": "str", "N)R": "object",
	} {
		view, err := pickle.Call([]byte("(U\x01f" + instance + ")}t."))
		if err != nil || view.Instance != want {
			t.Errorf("%q: %q, %v, want %q", instance, view.Instance, err, want)
		}
	}
}

func TestOnlyCallsAreCalls(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "N.", "(U\x01fN)t.", "(U\x01fN)}Nt.", "(NN)}t.", "(U\x01fNN}t.", "(U\x01fN)]t.", "\x8f(U\x01fN)}\x90.", "(U\x01fN)}t"} {
		if view, err := pickle.Call([]byte(data)); err == nil {
			t.Errorf("%q: %+v", data, view)
		}
	}
	// Any sequences of four unpack in Python.
	view, err := pickle.Call([]byte("](U\x01fN(K\x01l}e."))
	if err != nil || view.Describe(9) != "f(1)" {
		t.Errorf("%+v, %v", view, err)
	}
}

func TestTheFunctionIsReadFromTheBeginning(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"(X\x03\x00\x00\x00m.f": "m.f",
		"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00(\x8c\x03m.f": "m.f",
		"(\x8d\x03\x00\x00\x00\x00\x00\x00\x00m.f":                 "m.f",
		"]q\x00(U\x03m.f":                                "m.f",
		"]\x94(T\x03\x00\x00\x00m.f":                     "m.f",
		"]r\x00\x00\x00\x00(X\x00\x00\x00\x00":           "",
		"(lp0\nVm.f\\u00e9\n":                            "m.fé",
		"(S'm.f'\n":                                      "m.f",
		"(V" + strings.Repeat("x", 5000) + "\n":          "",
		"(X\x88\x13\x00\x00" + strings.Repeat("x", 5000): "",
		"": "", "(": "", "(X": "", "(X\x04\x00\x00\x00m.f": "", "(N": "", "\x80": "", "\x95\x00": "", "(p0": "", "(U\x01\xff": "", "(Vm.f": "", "(Sm.f\n": "",
		"(\x8d\xff\xff\xff\xff\xff\xff\xff\xffm": "", "(V\\ud800\n": "", "(X\x03\x00\x00\x00\xed\xa0\x80": "",
	} {
		if got := pickle.Function([]byte(data)); got != want {
			t.Errorf("%.40q: %q, want %q", data, got, want)
		}
	}
	for _, f := range fixtures(t) {
		if want := map[string]string{"job_noarg": "fixture_app.noarg", "job_rich": "fixture_app.rich", "job_instance": "total"}[f.Name]; want != "" {
			if got := pickle.Function(f.data(t)); got != want {
				t.Errorf("%s, protocol %d: %q", f.Name, f.Protocol, got)
			}
		}
	}
}

func BenchmarkAppendCall(b *testing.B) {
	args, kwargs := []byte(`["2026-10", 42]`), []byte(`{"limit": 100, "dry_run": true}`)
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pickle.AppendCall(buf, "report.build", args, kwargs); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFunction(b *testing.B) {
	data, err := pickle.AppendCall(nil, "report.build", []byte(`["2026-10", 42]`), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if pickle.Function(data) == "" {
			b.Fatal("no function")
		}
	}
}

func BenchmarkDescribe(b *testing.B) {
	data, err := pickle.AppendCall(nil, "report.build", []byte(`["2026-10", 42]`), []byte(`{"limit": 100, "dry_run": true}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		view, err := pickle.Call(data)
		if err != nil || view.Describe(pickle.RQCut) == "" {
			b.Fatal(err)
		}
	}
}

func TestCallsHoldWhatIsMadeOfClasses(t *testing.T) {
	t.Parallel()
	client := pickle.Made{Module: "m", Name: "Client", Kwargs: pickle.Dict{{Key: "name", Value: "Ana"}, {Key: "tags", Value: pickle.Set{"x"}}}}
	kwargs := pickle.Dict{
		{Key: "color", Value: pickle.Member{Module: "m", Class: "Color", Name: "RED"}}, {Key: "client", Value: client},
		{Key: "days", Value: pickle.Frozenset{}}, {Key: "plain", Value: pickle.JSON(`{"a":[1]}`)},
	}
	data, err := pickle.AppendCallOf(nil, "m.f", pickle.Tuple{pickle.Made{Module: "decimal", Name: "Decimal", Args: pickle.Tuple{"1.50"}}}, kwargs)
	if err != nil {
		t.Fatal(err)
	}
	view, err := pickle.Call(data)
	if err != nil {
		t.Fatal(err)
	}
	want := "Decimal('1.50'), client=Client(name='Ana', tags={'x'}), color=<m.Color.RED>, days=frozenset(), plain={'a': [1]}"
	if got := view.Spell(75); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	positional, keywords := view.Each(1, 20)
	wantEach := []pickle.Named{{Name: "color", Value: "<m.Color.RED>"}}
	if diff := cmp.Diff(wantEach, keywords); diff != "" || len(positional) != 1 || positional[0] != "Decimal('1.50')" {
		t.Errorf("%q %s", positional, diff)
	}
	for _, v := range []any{
		pickle.Made{Module: "os\nsystem", Name: "x"}, pickle.Made{Name: "x"}, pickle.Made{Module: "x"}, pickle.Member{Module: "m", Class: "C\r", Name: "x"},
		pickle.JSON("["), pickle.Dict{{Key: pickle.JSON("[]")}}, pickle.Set{func() {}},
	} {
		if data, err := pickle.Append(nil, v); err == nil {
			t.Errorf("%+v is written as %q", v, data)
		}
	}
}
