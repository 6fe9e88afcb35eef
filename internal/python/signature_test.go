package python_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

// oracle prints, for each function of a module in their order and for each call
// of callsOf, whether Python binds it.
const oracle = `
import importlib.util, sys
spec = importlib.util.spec_from_file_location("job", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for f in [f for name, f in vars(module).items() if name.startswith("f")]:
    for positionals in range(4):
        for bits in range(16):
            names = [n for i, n in enumerate("abcz") if bits >> i & 1]
            try:
                f(*range(positionals), **dict.fromkeys(names))
                print("binds")
            except TypeError:
                print("refused")
`

func TestACallBindsWhenPythonBindsIt(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	var source strings.Builder
	for i, parameters := range []string{
		"", "a", "a, b", "a, b=1", "a=1, b=2, c=3", "a, /", "a, /, b", "a, b=1, /, c=2", "*a", "*, a", "*, a=1, b", "a, *, b",
		"a, *b, c", "**z", "a, /, **k", "a, b=1, *args, c, **kwargs", "a=1, *args, b=2",
	} {
		fmt.Fprintf(&source, "def f%d(%s): pass\n", i, parameters)
	}
	path := b.write("job.py", source.String())
	out, err := exec.CommandContext(t.Context(), "python3", "-c", oracle, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Fields(string(out))
	for _, f := range b.module("job").Functions {
		for positionals := range 4 {
			for bits := range 16 {
				want := answers[0]
				answers = answers[1:]
				var names []string
				for i, name := range []string{"a", "b", "c", "z"} {
					if bits>>i&1 == 1 {
						names = append(names, name)
					}
				}
				err := b.CheckCall(f, positionals, names)
				if (err == nil) != (want == "binds") {
					t.Errorf("%s %+v with %d arguments and %v: %v, Python says %s", f.Name, f.Parameters, positionals, names, err, want)
				}
			}
		}
	}
	if len(answers) != 0 {
		t.Errorf("%d calls were not compared", len(answers))
	}
}

func TestARefusedCallNamesTheArgument(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("report.py", `
def build(month, /, year, *, dry_run): pass
@retry
def decorated(a): pass
class Report:
    @staticmethod
    def send(to): pass
`)
	for _, test := range []struct {
		function    string
		positionals int
		keywords    []string
		want        *distro.Error
	}{
		{"build", 0, []string{"year", "dry_run"}, distro.Invalid("args", "build needs its argument month, by position")},
		{"build", 1, []string{"dry_run"}, distro.Invalid("kwargs.year", "build needs this argument")},
		{"build", 2, nil, distro.Invalid("kwargs.dry_run", "build needs this argument, by name")},
		{"build", 3, []string{"dry_run"}, distro.Invalid("args", "build takes at most 2 positional arguments, and 3 were given")},
		{"build", 1, []string{"month", "year", "dry_run"}, distro.Invalid("kwargs.month", "build takes this argument by position only")},
		{"build", 2, []string{"year", "dry_run"}, distro.Invalid("kwargs.year", "build was given this argument by position too")},
		{"build", 2, []string{"dryrun"}, distro.Invalid("kwargs.dryrun", `build takes no argument of this name (did you mean "dry_run"?)`)},
		{"build", 2, []string{"dry_run", "dry_run"}, distro.Invalid("kwargs.dry_run", "build was given this argument twice")},
		{"Report.send", 2, nil, distro.Invalid("args", "Report.send takes at most 1 positional argument, and 2 were given")},
		{"Report.send", 0, nil, distro.Invalid("kwargs.to", "Report.send needs this argument")},
		{"Report.send", 1, nil, nil},
		{"decorated", 7, []string{"any", "thing"}, nil},
	} {
		f, err := b.FindFunction(b.module("report"), test.function)
		if err != nil {
			t.Fatal(err)
		}
		var got *distro.Error
		errors.As(python.CheckCall(f, test.positionals, test.keywords), &got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s with %d arguments and %v (-want +got):\n%s", test.function, test.positionals, test.keywords, diff)
		}
	}
	f, _ := python.FindFunction(b.module("report"), "build")
	if err := python.CheckCall(f, 2, []string{strings.Repeat("é", 1<<20)}); err == nil || len(err.Error()) > 300 {
		t.Error("a hostile keyword is echoed in full")
	}
}

func TestAFunctionThatCannotBeCalledIsExplained(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("job.py", "import os\nfrom os import system\nfrom helper import *\ndef build(): pass\ndef _private(): pass\n"+
		"class Report:\n  def execute(self): pass\n  @staticmethod\n  def send(): pass\n")
	b.write("broken.py", "x = 1\ndef f(:\n")
	b.write("json.py", "def f(): pass")
	for _, test := range []struct {
		module, name string
		code         distro.Code
		want         string
	}{
		{"job", "system", distro.CodeInvalid, `function: "system" is only imported by module "job": functions are called in the module that defines them`},
		{"job", "os.system", distro.CodeInvalid, `function: "os.system" is only imported by module "job": functions are called in the module that defines them`},
		{"job", "_private", distro.CodeInvalid, `function: "_private" begins with an underscore: such functions are private to module "job"`},
		{"job", "Report.__init__", distro.CodeInvalid, `function: "Report.__init__" begins with an underscore: such functions are private to module "job"`},
		{"job", "biuld", distro.CodeNotFound, `function: module "job" defines no function or static method "biuld" (did you mean "build"?)`},
		{"job", "Report.sent", distro.CodeNotFound, `function: module "job" defines no function or static method "Report.sent" (did you mean "Report.send"?)`},
		{"job", "Report.execute", distro.CodeNotFound, `function: module "job" defines no function or static method "Report.execute"`},
		{"job", "Report", distro.CodeNotFound, `function: module "job" defines no function or static method "Report"`},
		{"job", "", distro.CodeNotFound, `function: module "job" defines no function or static method ""`},
		{"json", "f", distro.CodeInvalid, `module: "json" hides the module "json" of Python's standard library: rename it`},
		{"broken", "f", distro.CodeInvalid, `module: "broken" cannot be imported: invalid syntax (line 2, column 7)`},
	} {
		_, err := python.FindFunction(b.module(test.module), test.name)
		if err == nil || distro.ErrorCode(err) != test.code || err.Error() != test.want {
			t.Errorf("%s.%s: %v (%s), want %s (%s)", test.module, test.name, err, distro.ErrorCode(err), test.want, test.code)
		}
	}
}
