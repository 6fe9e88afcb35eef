package python_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

func (b modulesBundle) module(name string) distro.Module {
	b.t.Helper()
	module, err := b.Module(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return module
}

// defines checks the names of a module's functions.
func (b modulesBundle) defines(module string, want ...string) {
	b.t.Helper()
	var names []string
	for _, f := range b.module(module).Functions {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		b.t.Errorf("functions of %s (-want +got):\n%s", module, diff)
	}
}

func TestTheSourceOfAModuleIsThatOfItsFile(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("m.py", "def f(): pass\n")
	b.write("pkg/broken.py", "def f(\n")
	b.write("notes.txt", "secret")
	b.write(".hidden.py", "secret")
	b.write("pkg/__init__.py", "secret")
	outside := filepath.Join(t.TempDir(), "outside.py")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.link(outside, "leads_out.py")
	b.link("m.py", "inside.py")
	large := b.write("large.py", "")
	if err := os.Truncate(large, 16<<20+1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"m": "def f(): pass\n", "pkg.broken": "def f(\n", "inside": "def f(): pass\n"} {
		if got, err := b.Source(t.Context(), name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]distro.Code{
		"notes": distro.CodeNotFound, "leads_out": distro.CodeNotFound, ".hidden": distro.CodeNotFound, "pkg": distro.CodeNotFound, "pkg.__init__": distro.CodeNotFound,
		"../outside": distro.CodeNotFound, "": distro.CodeNotFound, "m.py": distro.CodeNotFound, "pkg/broken": distro.CodeNotFound, "large": distro.CodeConflict,
	} {
		if got, err := b.Source(t.Context(), name); distro.ErrorCode(err) != want || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	b.write("m.py", "def g(): pass\n")
	if got, err := b.Source(t.Context(), "m"); err != nil || string(got) != "def g(): pass\n" {
		t.Errorf("after a change: %q, %v", got, err)
	}
}

func TestAFunctionIsDescribedFromItsSource(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("report.py", `"""Relatórios.

    Do mês.
"""
import functools, os as system
from typing import Optional


@functools.lru_cache(maxsize=None)
@retry
async def build(month: str, /, year: int = 2026, *rest: "x", dry_run: Optional[bool] = None, **more: dict[str, int]) -> list[str]:
    """Builds it.

    Carefully:
        indented more.
    """
`)
	text := func(s string) *string { return &s }
	want := distro.Module{
		Name: "report", Doc: "Relatórios.\n\nDo mês.", Imported: []string{"Optional", "functools", "system"},
		Functions: []distro.Function{{
			Name: "build", Doc: "Builds it.\n\nCarefully:\n    indented more.", Line: 11, Async: true,
			Decorators: []string{"functools.lru_cache(maxsize=None)", "retry"}, Returns: "list[str]",
			Parameters: []distro.Parameter{
				{Name: "month", Kind: distro.PositionalOnly, Annotation: "str"},
				{Name: "year", Kind: distro.PositionalOrKeyword, Annotation: "int", Default: text("2026")},
				{Name: "rest", Kind: distro.VarPositional, Annotation: "'x'"},
				{Name: "dry_run", Kind: distro.KeywordOnly, Annotation: "Optional[bool]", Default: text("None")},
				{Name: "more", Kind: distro.VarKeyword, Annotation: "dict[str, int]"},
			},
		}},
	}
	got := b.module("report")
	if len(got.Hash) != 64 {
		t.Errorf("hash %q", got.Hash)
	}
	got.Hash = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("module (-want +got):\n%s", diff)
	}
}

func TestTypesThatAnnotationsNameAreDescribed(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("types_of.py", `
Uf = Literal["SP", "RJ"]
Cpf = NewType("Cpf", str)
NUMBERS = table["x"]
class Color(str, enum.Enum):
    RED = "red"
    _hidden = 1
    GREEN = enum.auto()
class Plain: pass
@dataclass(frozen=True)
class Base:
    id: int
    kind: ClassVar[str] = "x"
@dataclass
class Order(Base):
    """An order."""
    tags: list[str] = field(default_factory=list)
    uf: Uf = "SP"
    id: str = field(repr=False)
    done: bool = field(init=False, default=False)
class Keys(TypedDict, total=False):
    a: Required[int]
    b: str
if True:
    class Model(pydantic.BaseModel):
        n: int = Field(5, ge=1)
        m: int = Field(..., gt=0)
        class_: str = Field(alias="kind")
`)
	text := func(s string) *string { return &s }
	want := []distro.Type{
		{Name: "Uf", Kind: distro.Alias, Of: "Literal['SP', 'RJ']"},
		{Name: "Cpf", Kind: distro.Alias, Of: "str"},
		{Name: "Color", Kind: distro.Enumeration, Fields: []distro.Parameter{{Name: "RED", Default: text("'red'")}, {Name: "GREEN", Default: text("1")}}},
		{Name: "Base", Kind: distro.Record, Class: true, Fields: []distro.Parameter{{Name: "id", Annotation: "int"}}},
		{Name: "Order", Kind: distro.Record, Class: true, Doc: "An order.", Fields: []distro.Parameter{
			{Name: "id", Annotation: "str"}, {Name: "tags", Annotation: "list[str]", Default: text("[]")}, {Name: "uf", Annotation: "Uf", Default: text("'SP'")},
		}},
		{Name: "Keys", Kind: distro.Record, Fields: []distro.Parameter{{Name: "a", Annotation: "Required[int]"}, {Name: "b", Annotation: "str", Default: text("...")}}},
		{Name: "Model", Kind: distro.Record, Class: true, Fields: []distro.Parameter{
			{Name: "n", Annotation: "Annotated[int, Field(5, ge=1)]", Default: text("5")}, {Name: "m", Annotation: "Annotated[int, Field(..., gt=0)]"},
			{Name: "kind", Annotation: "Annotated[str, Field(alias='kind')]"},
		}},
	}
	if diff := cmp.Diff(want, b.module("types_of").Types); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

func TestFunctionsAreWhatAnImportWouldDefine(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	for name, test := range map[string]struct {
		source string
		want   []string
	}{
		"blocks": {"if a:\n  def f(): pass\nelif b:\n  def g(): pass\nelse:\n  def h(): pass\n" +
			"try:\n  def i(): pass\nexcept E:\n  def j(): pass\nelse:\n  def k(): pass\nfinally:\n  def l(): pass\n" +
			"with x:\n  async def m(): pass\nfor a in b:\n  def n(): pass\nwhile x:\n  def o(): pass\n", strings.Split("f g h i j k l m n o", " ")},
		"main":        {"if __name__ == '__main__':\n  def f(): pass\nelse:\n  def g(): pass\n", []string{"g"}},
		"typing_only": {"if TYPE_CHECKING:\n  from x import f\ndef g(): pass", []string{"g"}},
		"private":     {"def _f(): pass\ndef __g(): pass\nclass _C:\n  @staticmethod\n  def f(): pass\n", nil},
		"nested":      {"def f():\n  def g(): pass\n", []string{"f"}},
		"redefined":   {"def f(): pass\ndef g(): pass\ndef f(): pass\n", []string{"g", "f"}},
		"methods": {"class C:\n  def m(self): pass\n  @classmethod\n  def c(cls): pass\n  @staticmethod\n  def s(): pass\n" +
			"  @staticmethod\n  def _p(): pass\n  def old(): pass\n  old = staticmethod(old)\n  class D:\n    @staticmethod\n    def s(): pass\n", []string{"C.s", "C.old"}},
		"class_again": {"class C:\n  @staticmethod\n  def f(): pass\nclass C: pass\n", nil},
		"rebound":     {"import os\ndef f(): pass\nf = os.system\ndef g(): pass\ng: int = 3\ndef h(): pass\ndel h\ndef i(): pass\ni: int\n(j, [f]) = x\n", []string{"i"}},
		"imported":    {"def f(): pass\nfrom os import system as f\nfrom os import *\nsystem = 1\nimport g.h\n", nil},
		"fallback":    {"try:\n  from fast import f\nexcept ImportError:\n  def f(): pass\n", []string{"f"}},
		"lambdas":     {"f = lambda: 1\n", nil},
		"generics":    {"import a\nx = [a for a in b]\nx[f] = 1\ndef f(): pass\nx[f] = 2\nf.attr = 3\n", []string{"f"}},
	} {
		b.write(name+".py", test.source)
		b.defines(name, test.want...)
	}
	b.write("wrapped.py", "def f(a): pass\nf = cached(f, 3)\n")
	if diff := cmp.Diff([]string{"cached"}, b.module("wrapped").Functions[0].Decorators); diff != "" {
		t.Errorf("a function wrapped by assignment has a decorator (-want +got):\n%s", diff)
	}
}

// The versions of Python differ in what they say, and in what they survive.
func TestEveryFileIsAnAnswer(t *testing.T) {
	t.Parallel()
	b := newModules(t, func(o *python.CatalogOptions) { o.FileTimeout = time.Minute })
	for name, test := range map[string]struct{ source, doc, problem string }{
		"empty":         {"", "", ""},
		"bom":           {"\ufeff'ç'\ndef f(): pass", "ç", ""},
		"latin":         {"# -*- coding: latin-1 -*-\n'\xe7'\ndef f(): pass", "ç", ""},
		"carriage":      {"'ç'\r\ndef f():\r\n    pass\r\n", "ç", ""},
		"warnings":      {`"\d"`, `\d`, ""},
		"not_utf8":      {"'\xe7'\n", "", "utf-8"},
		"bad_cookie":    {"# coding: klingon\n", "", "klingon"},
		"nulls":         {"x = 1\n'\x00'\n", "", "null bytes"},
		"binary":        {"\x7fELF\x02\x01\x01\x00\x00", "", "null bytes"},
		"syntax":        {"def f():\n  x = (1\n", "", "never closed|unexpected EOF"},
		"indent":        {"def f():\npass\n", "", "indent"},
		"late":          {"return 1\n", "", "'return' outside function"},
		"parens":        {strings.Repeat("(", 100_000), "", "nested"},
		"operators":     {"x = " + strings.Repeat("-", 500_000) + "1", "", "nested"},
		"attributes":    {"x = a" + strings.Repeat(".b", 500_000), "", "nested|crashes"},
		"blocks":        {deepBlocks(200), "", "indent"},
		"deep_default":  {"def f(a=1" + strings.Repeat("+1", 500) + "): pass", "", ""},
		"long_default":  {"def f(a='" + strings.Repeat("x", 1<<20) + "'): pass", "", ""},
		"long_line":     {"x = (" + strings.Repeat("1,", 1<<16), "", "never closed|unexpected EOF"},
		"many":          {strings.Repeat("def f(): pass\n", 1000), "", ""},
		"large_string":  {"'''" + strings.Repeat("x", 10<<20) + "'''\ndef f(): pass", strings.Repeat("x", 16<<10-1) + "…", ""},
		"large":         {strings.Repeat("x = {1: 2}\n", 5<<20/11), "", "too large"},
		"too_large":     {strings.Repeat("#", 16<<20+1), "", "larger than 16 MB"},
		"too_many_docs": {manyDocs(700), "", "too many functions"},
	} {
		b.write(name+".py", test.source)
		module := b.module(name)
		problem := ""
		if module.Error != nil {
			problem = module.Error.Message
			if module.Error.Line < 1 || module.Error.Column < 1 || len(module.Error.Text) > 1000 || module.Functions != nil {
				t.Errorf("%s: %+v", name, module)
			}
		}
		says := func(part string) bool { return strings.Contains(problem, part) }
		if (problem == "") != (test.problem == "") || !slices.ContainsFunc(strings.Split(test.problem, "|"), says) {
			t.Errorf("%s: problem %q, want %q", name, problem, test.problem)
		}
		if module.Doc != test.doc {
			t.Errorf("%s: docstring %.60q of %d bytes", name, module.Doc, len(module.Doc))
		}
	}
	b.write("after.py", "def f(): pass")
	b.defines("after", "f")
}

func deepBlocks(depth int) string {
	var s strings.Builder
	for i := range depth {
		s.WriteString(strings.Repeat(" ", i) + "if x:\n")
	}
	return s.String() + strings.Repeat(" ", depth) + "pass\n"
}

func manyDocs(count int) string {
	var s strings.Builder
	for i := range count {
		fmt.Fprintf(&s, "def f%d():\n  '''%s'''\n", i, strings.Repeat("x", 16<<10))
	}
	return s.String()
}

func TestASyntaxErrorSaysWhere(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("broken.py", "x = 1\ndef f(:\n    pass\n")
	got := b.module("broken").Error
	if got == nil || got.Line != 2 || got.Column != 7 || got.Text != "def f(:" || !strings.HasPrefix(got.Message, "invalid syntax") {
		t.Errorf("got %+v", got)
	}
}

func TestAModuleThatHidesTheStandardLibraryShadows(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	for name, want := range map[string]bool{"json": true, "email.sender": true, "report": false, "pkg.json": false} {
		b.write(strings.ReplaceAll(name, ".", "/")+".py", "")
		if got := b.module(name).Shadows; got != want {
			t.Errorf("%s shadows: %v", name, got)
		}
	}
}

func TestAnUnknownModuleIsNamedWithTheNearest(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("report.py", "")
	_, err := b.Module(t.Context(), "repot")
	want := &distro.Error{Code: distro.CodeNotFound, Field: "module", Message: `no module named "repot" (did you mean "report"?)`}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	_, err = b.Module(t.Context(), strings.Repeat("x", 10_000))
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("a long name is echoed: %v", err)
	}
}

func TestEveryEditIsSeenByTheNextRequest(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	path := b.write("job.py", "def f0000(): pass")
	before := b.module("job").Hash
	for i := range 300 { // as fast as it goes, of equal size, in place and by rename, with the old time set again
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		name, into := fmt.Sprintf("f%04d", i+1), "job.py"
		if i%3 == 1 {
			into = "job.new"
		}
		written := b.write(into, "def "+name+"(): pass")
		if i%2 == 0 {
			if err := os.Chtimes(written, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(written, path); err != nil {
			t.Fatal(err)
		}
		b.defines("job", name)
	}
	if b.module("job").Hash == before {
		t.Error("the hash did not change")
	}
	b.write("job.py", "def f(: pass")
	if b.module("job").Error == nil {
		t.Error("a broken edit was not seen")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b.hides("job")
	b.write("job/f.py", "def g(): pass")
	b.defines("job.f", "g")
}

func TestAllDescribesEveryModule(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	for i := range 20 {
		b.write(fmt.Sprintf("m%02d.py", i), fmt.Sprintf("def f%d(): pass", i))
	}
	b.write("broken.py", "def")
	modules, err := b.All(t.Context())
	if err != nil || len(modules) != 21 {
		t.Fatalf("%d modules, %v", len(modules), err)
	}
	if modules[0].Name != "broken" || modules[0].Error == nil || modules[20].Name != "m19" || modules[20].Functions[0].Name != "f19" {
		t.Errorf("got %v … %v", modules[0], modules[20])
	}
}

func TestACatalogServesManyAtOnce(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			name := fmt.Sprintf("m%d", i%4)
			for range 20 {
				b.write(name+".py", "def f(): pass\n")
				if _, err := b.Module(t.Context(), name); err != nil {
					t.Error(err)
				}
				if _, err := b.All(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	users.Wait()
}

// python3ThatNotes is an interpreter that writes the number of each process
// it becomes to a file.
func python3ThatNotes(t *testing.T, note string) python.Interpreter {
	t.Helper()
	interpreter := findPython(t)
	interpreter.Executable = script(t, filepath.Join(t.TempDir(), "python3"),
		`echo $$ >> "`+note+`"; exec "`+interpreter.Executable+`" "$@"`)
	return interpreter
}

// processes are those that python3ThatNotes noted.
func processes(t *testing.T, note string) []int {
	t.Helper()
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for line := range strings.Lines(string(text)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func TestOneProcessParsesUntilItIsKilled(t *testing.T) {
	t.Parallel()
	note := filepath.Join(t.TempDir(), "pids")
	b := newModules(t, func(o *python.CatalogOptions) { o.Interpreter = python3ThatNotes(t, note) })
	b.write("a.py", "def f(): pass")
	b.write("b.py", "def f(): pass")
	b.lists("a", "b")
	b.write("a.py", "def g(): pass")
	b.defines("a", "g")
	pids := processes(t, note)
	if len(pids) != 1 {
		t.Fatalf("processes %v, want one", pids)
	}
	process, err := os.FindProcess(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	b.write("a.py", "def after_the_kill(): pass")
	b.defines("a", "after_the_kill")
	if pids := processes(t, note); len(pids) != 2 {
		t.Errorf("processes %v, want a second one", pids)
	}
}

func TestTheParsingProcessEndsWhenNobodyAsks(t *testing.T) {
	t.Parallel()
	note := filepath.Join(t.TempDir(), "pids")
	b := newModules(t, func(o *python.CatalogOptions) {
		o.Interpreter, o.IdleTimeout = python3ThatNotes(t, note), time.Millisecond
	})
	for i := range 5 {
		name := fmt.Sprintf("f%d", i)
		b.write("a.py", "def "+name+"(): pass")
		b.defines("a", name)
		pids := processes(t, note)
		waitUntil(t, "the idle process ends", func() bool { return !exists(pids[len(pids)-1]) })
	}
}

func exists(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	return process.Signal(syscall.Signal(0)) == nil
}

// waitUntil asks again and again until it holds.
func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal("waited in vain until ", what)
		}
	}
}

// readyThen is an interpreter whose discovery process does as the shell script
// says once it has a file.
func readyThen(t *testing.T, text string) python.Interpreter {
	t.Helper()
	interpreter := findPython(t)
	interpreter.Executable = script(t, filepath.Join(t.TempDir(), "python3"),
		`printf '\000\000\000\000'; head -c "$6" > /dev/null; head -c 4 > /dev/null; `+text)
	return interpreter
}

func TestAFileThatTakesTooLongOrCrashesPythonIsAnAnswer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"exec sleep 1000":                              "could not be parsed within 50ms",
		"kill -SEGV $$":                                "Python crashes",
		"echo nonsense; exec sleep 1000":               "Python crashes",
		`printf '\000\000\000\002no'; exec sleep 1000`: "Python crashes",
	} {
		timeout := 50 * time.Millisecond
		if want == "Python crashes" {
			timeout = time.Minute // a busy machine may need long to run the script
		}
		b := newModules(t, func(o *python.CatalogOptions) { o.Interpreter, o.FileTimeout = readyThen(t, text), timeout })
		b.write("job.py", "def f(): pass")
		for range 2 {
			if got := b.module("job").Error; got == nil || !strings.Contains(got.Message, want) {
				t.Errorf("%s: %v, want %q", text, got, want)
			}
		}
	}
}

func TestARequestThatEndsDoesNotWait(t *testing.T) {
	t.Parallel()
	b := newModules(t, func(o *python.CatalogOptions) {
		o.Interpreter, o.FileTimeout = readyThen(t, "exec sleep 1000"), time.Hour
	})
	b.write("job.py", "def f(): pass")
	ctx, cancel := context.WithCancel(t.Context())
	var both sync.WaitGroup
	for range 2 { // one parses, one waits for its turn
		both.Go(func() {
			if _, err := b.Module(ctx, "job"); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
				t.Errorf("got %v", err)
			}
		})
	}
	cancel()
	both.Wait()
}

func TestAPythonThatIsGoneIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, executable := range map[string]string{
		"no such file": filepath.Join(t.TempDir(), "gone"),
		"no encodings": script(t, filepath.Join(t.TempDir(), "broken"), "echo no encodings >&2; exit 1"),
	} {
		b := newModules(t, func(o *python.CatalogOptions) { o.Interpreter.Executable = executable })
		b.write("job.py", "")
		_, err := b.Module(t.Context(), "job")
		if distro.ErrorCode(err) != distro.CodeUnavailable || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheParsingProcessEndsWithItsInput(t *testing.T) {
	t.Parallel()
	for _, input := range []string{"", "\x00\x00", "\x00\x00\x00\x09x = 1"} {
		cmd := exec.CommandContext(t.Context(), "python3", "discover.py")
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.Output()
		if err != nil || string(out) != "\x00\x00\x00\x00" {
			t.Errorf("after %q: %q, %v; want readiness and the end", input, out, err)
		}
	}
}

func TestAFileThatCannotBeParsedIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := newModules(t, func(o *python.CatalogOptions) {
		o.Interpreter, o.Logger = readyThen(t, "echo stack overflow >&2; kill -SEGV $$"), slog.New(slog.NewTextHandler(&log, nil))
	})
	b.write("job.py", "def f(): pass")
	for range 3 {
		b.module("job")
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "module=job") || !strings.Contains(got, "stack overflow") {
		t.Errorf("logged %q", got)
	}
}

func TestAClosedCatalogStartsNothing(t *testing.T) {
	t.Parallel()
	b := newModules(t, nil)
	b.write("job.py", "")
	b.module("job")
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b.write("job.py", "def f(): pass")
	if _, err := b.Module(t.Context(), "job"); distro.ErrorCode(err) != distro.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func BenchmarkAKnownModule(b *testing.B) {
	interpreter, err := python.FindInterpreter(b.Context(), python.InterpreterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	path := filepath.Join(dir, "job.py")
	if err := os.WriteFile(path, []byte("def f(): pass"), 0o644); err != nil {
		b.Fatal(err)
	}
	catalog, err := python.NewCatalog(python.CatalogOptions{Interpreter: interpreter, Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer catalog.Close()
	written := time.Now()
	for time.Since(written) < 150*time.Millisecond { // until the file's stamp can be trusted
		if _, err := catalog.Module(b.Context(), "job"); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("module", func(b *testing.B) {
		for b.Loop() {
			_, _ = catalog.Module(b.Context(), "job")
		}
	})
	b.Run("stat", func(b *testing.B) {
		for b.Loop() {
			_, _ = os.Stat(path)
		}
	})
}
