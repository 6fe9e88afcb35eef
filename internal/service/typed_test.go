package service_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/service"
)

// shop is a module with classes of its own. It begins with what nobody but the
// job may do: import it.
const shop = `
import collections, enum, pathlib, uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, Optional, TypedDict, Union
from uuid import UUID

class Color(Enum):
    RED = "red"
    TWO = 2
    AUTO = enum.auto()

@dataclass(frozen=True)
class Address:
    street: str
    since: Optional[date] = None

@dataclass
class Client:
    name: str
    address: Address
    born: date
    limit: Decimal = Decimal("10")
    tags: list[str] = field(default_factory=lambda: ["new"])
    checked: bool = field(init=False, default=False)
    friends: "list[Client]" = field(default_factory=list)

    def __post_init__(self):
        self.checked = True

class Point(NamedTuple):
    x: float
    y: float = 0.5

class Row(TypedDict):
    day: date
    note: NotRequired[str]

Ids = list[UUID]

@dataclass
class Left:
    x: "Left | Right | None"

@dataclass
class Right:
    x: "Left | Right | None"
`

// oracle loads calls and compares their arguments with expressions.
const oracle = `
import pickle, sys
sys.path.insert(0, sys.argv[1])
scope = {}
def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items()))
    if isinstance(a, (set, frozenset)):
        return sorted(map(repr, a)) == sorted(map(repr, b))
    return a == b and str(a) == str(b)
def answer(ask):
    if not scope:
        scope.update(vars(__import__("shop")))
        scope.update(timezone=__import__("datetime").timezone)
    function, instance, args, kwargs = pickle.loads(bytes.fromhex(ask["pickle"]))
    want = eval(ask["want"], scope)
    return {"same": same(kwargs["a"], want), "got": repr(kwargs["a"])}
`

type shopping struct {
	*bundle
	module distro.Module
	oracle *proctest.Oracle
}

// goShopping writes the module, with a function for each annotation, and starts
// a Python that can import it.
func goShopping(t *testing.T, annotations ...string) *shopping {
	t.Helper()
	dir := t.TempDir()
	text := shop
	for i, annotation := range annotations {
		text += fmt.Sprintf("\ndef f%d(a: %s): pass\n", i, annotation)
	}
	if err := os.WriteFile(filepath.Join(dir, "shop.py"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	interpreter, err := python.FindInterpreter(t.Context(), python.InterpreterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := python.NewCatalog(python.CatalogOptions{Interpreter: interpreter, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s := &shopping{bundle: setup(t, open(t), func(o *service.Options) { o.Catalog = c })}
	if s.module, err = c.Module(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	s.oracle = proctest.StartOracle(t, oracle, dir)
	return s
}

// buy makes a typed call of function number i.
func (s *shopping) buy(t rapid.TB, i int, value string) (distro.Job, error) {
	t.Helper()
	return s.Enqueue(s.t.Context(), service.Request{Module: "shop", Function: fmt.Sprintf("f%d", i), Kwargs: []byte(`{"a":` + value + `}`), Typed: true})
}

// holds makes a call, asks Python what it holds, and makes it again of what is
// recalled of it.
func (s *shopping) holds(t rapid.TB, i int, annotation, value, want string) {
	t.Helper()
	job, err := s.buy(t, i, value)
	if err != nil {
		t.Errorf("%s: %s: %v", annotation, value, err)
		return
	}
	var made struct {
		Same bool
		Got  string
	}
	question := map[string]string{"pickle": hex.EncodeToString(job.Payload.Data), "want": want}
	if err := s.oracle.Ask(question, &made); err != nil || !made.Same {
		t.Errorf("%s: %s makes %s (%v), want %s", annotation, value, made.Got, err, want)
	}
	known := service.Recall(s.module, s.module.Functions[i], job.Payload)
	again, err := s.Enqueue(s.t.Context(), service.Request{
		Module: "shop", Function: s.module.Functions[i].Name, Args: known.Args, Kwargs: known.Kwargs, Typed: true,
	})
	if err != nil || known.Partly || !known.Typed || !bytes.Equal(again.Payload.Data, job.Payload.Data) {
		t.Errorf("%s: %s is recalled as %s (%+v), and makes another call: %v\n%q\n%q",
			annotation, value, known.Kwargs, known, err, job.Payload.Data, again.Payload.Data)
	}
}

func TestTypedArgumentsAreTheValuesThatAnnotationsAskFor(t *testing.T) {
	t.Parallel()
	table := []struct{ annotation, value, want string }{
		{"date", `"2026-10-31"`, "date(2026, 10, 31)"},
		{"datetime", `"2026-10-31T08:00:00.25-03:00"`, "datetime(2026, 10, 31, 8, 0, 0, 250000, timezone(timedelta(hours=-3)))"},
		{"datetime", `"2026-10-31T08:00Z"`, "datetime(2026, 10, 31, 8, 0, tzinfo=timezone.utc)"},
		{"datetime", `"2026-10-31 08:00"`, "datetime(2026, 10, 31, 8, 0)"},
		{"datetime", `"2026-10-31T08:00:07+05:30"`, "datetime(2026, 10, 31, 8, 0, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))"},
		{"time", `"08:30"`, "time(8, 30)"},
		{"time", `"08:30:15.5+01:00"`, "time(8, 30, 15, 500000, timezone(timedelta(hours=1)))"},
		{"timedelta", `5400`, "timedelta(minutes=90)"},
		{"timedelta", `-0.25`, "timedelta(milliseconds=-250)"},
		{"timedelta", `1e-6`, "timedelta(microseconds=1)"},
		{"timedelta", `1000000000000000e-6`, "timedelta(seconds=10**9)"},
		{"timedelta", `86399999999999999999e-6`, "timedelta.max"},
		{"Decimal", `10.50`, "Decimal('10.50')"},
		{"Decimal", `"-1e5"`, "Decimal('-1E+5')"},
		{"Decimal", `"Infinity"`, "Decimal('Infinity')"},
		{"int", `123456789012345678901234567890`, "123456789012345678901234567890"},
		{"float", `2`, "2.0"},
		{"Path", `"/tmp/a b.csv"`, "Path('/tmp/a b.csv')"},
		{"bytes", `"é"`, "'é'.encode()"},
		{"bytes", `"data:;base64,AP8="`, `b"\x00\xff"`},
		{"bytearray", `"x"`, "bytearray(b'x')"},
		{"UUID", `"12345678-1234-5678-1234-567812345678"`, "UUID('12345678-1234-5678-1234-567812345678')"},
		{"Color", `"red"`, "Color.RED"},
		{"Color", `3`, "Color.AUTO"},
		{"Literal['a', 1]", `1`, "1"},
		{"tuple[int, date]", `[1, "2026-10-31"]`, "(1, date(2026, 10, 31))"},
		{"tuple[date, ...]", `["2026-10-31"]`, "(date(2026, 10, 31),)"},
		{"tuple", `[]`, "()"},
		{"set[str]", `["b", "a"]`, "{'a', 'b'}"},
		{"set[tuple[int, int]]", `[[1, 2]]`, "{(1, 2)}"},
		{"frozenset[Decimal]", `[1.5]`, "frozenset({Decimal('1.5')})"},
		{"deque[int]", `[1, 2]`, "deque([1, 2])"},
		{"list[date]", `["2026-10-31", "2026-11-01"]`, "[date(2026, 10, 31), date(2026, 11, 1)]"},
		{"Optional[Decimal]", `null`, "None"},
		{"Optional[Decimal]", `1.0`, "Decimal('1.0')"},
		{"date | datetime | None", `"2026-10-31T08:00"`, "datetime(2026, 10, 31, 8, 0)"},
		{"float | int", `1`, "1"},
		{"Union[str, list[str]]", `["a"]`, "['a']"},
		{"dict[str, date]", `{"a": "2026-10-31"}`, "{'a': date(2026, 10, 31)}"},
		{"dict[date, int]", `{"2026-10-31": 1}`, "{date(2026, 10, 31): 1}"},
		{"dict[int, list[Path]]", `{"7": ["x"]}`, "{7: [Path('x')]}"},
		{"Client", `{"name": "Ana", "address": {"street": "R", "since": "2020-01-02"}, "born": "1990-05-06"}`,
			"Client('Ana', Address('R', date(2020, 1, 2)), date(1990, 5, 6))"},
		{"list[Client | None]", `[null, {"name": "Ana", "address": {"street": "R"}, "born": "1990-05-06", "limit": 5, "tags": [],
			"friends": [{"name": "B", "address": {"street": "S"}, "born": "1991-05-06"}]}]`,
			"[None, Client('Ana', Address('R'), date(1990, 5, 6), Decimal('5'), [], [Client('B', Address('S'), date(1991, 5, 6))])]"},
		{"set[Address]", `[{"street": "R"}]`, "{Address('R')}"},
		{"Point", `{"x": 1}`, "Point(1.0)"},
		{"Row", `{"day": "2026-10-31"}`, "{'day': date(2026, 10, 31)}"},
		{"Ids", `["12345678123456781234567812345678"]`, "[UUID('12345678-1234-5678-1234-567812345678')]"},
		{"Any", `{"a": ["2026-10-31"]}`, "{'a': ['2026-10-31']}"},
		{"", `"2026-10-31"`, "'2026-10-31'"},
		{"date = None", `null`, "None"},
	}
	annotations := make([]string, len(table))
	for i, tt := range table {
		if annotations[i] = tt.annotation; tt.annotation == "" {
			annotations[i] = "'…'" // says nothing
		}
	}
	s := goShopping(t, annotations...)
	for i, tt := range table {
		s.holds(t, i, tt.annotation, tt.value, tt.want)
	}
}

func TestTypedArgumentsThatDoNotFitAreRefusedByName(t *testing.T) {
	t.Parallel()
	table := []struct{ annotation, value, want string }{
		{"date", `"31/10/2026"`, "kwargs.a: must be a date like 2026-10-31"},
		{"date", `7`, "kwargs.a: must be a date like 2026-10-31"},
		{"date", `"2026-02-30"`, "kwargs.a: must be a date like 2026-10-31"},
		{"datetime", `"2026-10-31"`, "kwargs.a: must be a moment like 2026-10-31T08:00:00-03:00"},
		{"time", `"25:00"`, "kwargs.a: must be a time of day like 08:30"},
		{"timedelta", `"1h"`, "kwargs.a: must be a number of seconds"},
		{"timedelta", `1e50`, "kwargs.a: must be a number of seconds"},
		{"timedelta", `86400000000000`, "kwargs.a: must be a number of seconds"},
		{"timedelta", `1234567890123456789012345678901e-30`, "kwargs.a: must be a number of seconds"},
		{"Decimal", `"ten"`, "kwargs.a: must be a number, or one in a text, like 10.50"},
		{"int", `"5"`, "kwargs.a: must be a number without a fraction"},
		{"int", `true`, "kwargs.a: must be a number without a fraction, not a boolean"},
		{"bool", `1`, "kwargs.a: must be true or false"},
		{"str", `null`, "kwargs.a: must be a text, not null"},
		{"UUID", `"x"`, "kwargs.a: must be a UUID"},
		{"bytes", `"data:;base64,?"`, "kwargs.a: must be a text, or a URL like data:;base64,AAEC"},
		{"Color", `"blue"`, `kwargs.a: must be one of the values of Color: "red", 2, 3`},
		{"Literal['a']", `"b"`, `kwargs.a: must be one of "a"`},
		{"list[date]", `["2026-10-31", "x"]`, "kwargs.a[1]: must be a date like 2026-10-31"},
		{"tuple[int, int]", `[1]`, "kwargs.a: must have 2 elements, not 1"},
		{"tuple[int, int]", `[1, 2, 3]`, "kwargs.a: must have 2 elements, and has more"},
		{"set", `[[1]]`, "kwargs.a[0]: must not be a list or an object: a set cannot hold one"},
		{"Optional[date]", `"x"`, "kwargs.a: must be a date like 2026-10-31"},
		{"date | int", `"x"`, "kwargs.a: fits none of the types that the function names"},
		{"dict[date, int]", `{"x": 1}`, "kwargs.a.x: is no key that fits"},
		{"Client", `[]`, "kwargs.a: must be an object with the fields of Client, not a list"},
		{"Client", `{"name": "A", "address": {"street": "R", "since": 1}, "born": "2026-10-31"}`, "kwargs.a.address.since: must be a date like 2026-10-31"},
		{"Client", `{"name": "A", "address": {"street": "R"}}`, "kwargs.a.born: Client needs this field"},
		{"Client", `{"name": "A", "address": {"street": "R"}, "born": "2026-10-31", "checked": true}`, "kwargs.a.checked: Client has no such field"},
	}
	annotations := make([]string, len(table))
	for i, tt := range table {
		annotations[i] = tt.annotation
	}
	s := goShopping(t, annotations...)
	for i, tt := range table {
		if _, err := s.buy(t, i, tt.value); err == nil || err.Error() != tt.want || distro.ErrorCode(err) != distro.CodeInvalid {
			t.Errorf("%s: %s: %v, want %s", tt.annotation, tt.value, err, tt.want)
		}
		job, err := s.Enqueue(t.Context(), service.Request{Module: "shop", Function: fmt.Sprintf("f%d", i), Kwargs: []byte(`{"a":` + tt.value + `}`)})
		if err != nil || bytes.Contains(job.Payload.Data, []byte("cshop")) {
			t.Errorf("%s: %s, not typed: %v", tt.annotation, tt.value, err)
		}
	}
}

// made is a value: its annotation, the JSON that stands for it, and Python's
// expression.
type made struct{ annotation, value, want string }

// scalars draws values without parts, those that Python hashes.
func scalars(t *rapid.T) made {
	number := func(low, high int) int { return rapid.IntRange(low, high).Draw(t, "number") }
	year, month, day := number(1, 9999), number(1, 12), number(1, 28)
	hour, minute, second, micro := number(0, 23), number(0, 59), number(0, 59), number(0, 999_999)
	switch number(0, 10) {
	case 0:
		return made{"date", fmt.Sprintf(`"%04d-%02d-%02d"`, year, month, day), fmt.Sprintf("date(%d, %d, %d)", year, month, day)}
	case 1:
		shift := number(-1439, 1439)
		sign := "+"
		if shift < 0 {
			sign = "-"
		}
		away := max(shift, -shift)
		return made{"datetime", fmt.Sprintf(`"%04d-%02d-%02dT%02d:%02d:%02d.%06d%s%02d:%02d"`, year, month, day, hour, minute, second, micro, sign, away/60, away%60),
			fmt.Sprintf("datetime(%d, %d, %d, %d, %d, %d, %d, timezone(timedelta(minutes=%d)))", year, month, day, hour, minute, second, micro, shift)}
	case 2:
		return made{"time", fmt.Sprintf(`"%02d:%02d:%02d.%06d"`, hour, minute, second, micro), fmt.Sprintf("time(%d, %d, %d, %d)", hour, minute, second, micro)}
	case 3:
		n := rapid.Int64Range(-1e15, 1e15).Draw(t, "microseconds")
		return made{"timedelta", fmt.Sprintf("%de-6", n), fmt.Sprintf("timedelta(microseconds=%d)", n)}
	case 4:
		digits := rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?`).Draw(t, "digits")
		return made{"Decimal", digits, "Decimal('" + digits + "')"}
	case 5:
		octets := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "octets")
		value, _ := json.Marshal(octets)
		return made{"bytes", `"data:;base64,` + strings.Trim(string(value), `"`) + `"`, "bytes.fromhex('" + hex.EncodeToString(octets) + "')"}
	case 6:
		octets := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "octets")
		return made{"UUID", `"` + hex.EncodeToString(octets) + `"`, "UUID('" + hex.EncodeToString(octets) + "')"}
	case 7:
		name := rapid.StringMatching(`[ -~áé😀]{1,20}`).Draw(t, "name")
		value, _ := json.Marshal(name)
		return made{"Path", string(value), "Path(__import__('json').loads('''" + strings.ReplaceAll(strings.ReplaceAll(string(value), `\`, `\\`), "'", `\'`) + "'''))"}
	case 8:
		return made{"Color", `"red"`, "Color.RED"}
	case 9:
		return made{"int", fmt.Sprint(micro), fmt.Sprint(micro)}
	default:
		return made{"float", fmt.Sprint(micro), fmt.Sprintf("%d.0", micro)}
	}
}

// values draws values of values.
func values(t *rapid.T, depth int) made {
	choice := rapid.IntRange(0, 7).Draw(t, "shape")
	if depth == 0 || choice == 0 {
		return scalars(t)
	}
	inner := scalars(t)
	if choice < 5 {
		inner = values(t, depth-1)
	}
	switch choice {
	case 1:
		return made{"list[" + inner.annotation + "]", "[" + inner.value + "," + inner.value + "]", "[" + inner.want + ", " + inner.want + "]"}
	case 2:
		return made{"tuple[" + inner.annotation + ", int]", "[" + inner.value + ",1]", "(" + inner.want + ", 1)"}
	case 3:
		return made{"dict[str, " + inner.annotation + "]", `{"k":` + inner.value + "}", "{'k': " + inner.want + "}"}
	case 4:
		return made{"Optional[" + inner.annotation + "]", inner.value, inner.want}
	case 5:
		return made{"set[" + inner.annotation + "]", "[" + inner.value + "]", "{" + inner.want + "}"}
	case 6:
		return made{"frozenset[tuple[" + inner.annotation + ", ...]]", "[[" + inner.value + "]]", "frozenset({(" + inner.want + ",)})"}
	default:
		since := rapid.StringMatching(`20[0-9]{2}-0[13-8]-[12][0-9]`).Draw(t, "since")
		return made{"list[Address]", `[{"street":"R","since":"` + since + `"}]`, "[Address('R', date.fromisoformat('" + since + "'))]"}
	}
}

func TestRandomTypedValuesReachPythonAndComeBack(t *testing.T) {
	t.Parallel()
	s := goShopping(t, "int")
	f := &s.module.Functions[0]
	var err error
	s.Service, err = service.New(service.Options{Broker: s.broker, Queues: []string{"high"}, Catalog: oneModule{catalog{}, &s.module}})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		v := values(rt, 3)
		f.Parameters[0].Annotation = v.annotation
		s.holds(rt, 0, v.annotation, v.value, v.want)
	})
}

// oneModule is a catalog of a module that changes.
type oneModule struct {
	catalog
	module *distro.Module
}

func (c oneModule) Module(context.Context, string) (distro.Module, error) { return *c.module, nil }

func TestTypedCallsAreRepeatableAndRunAgainWithOtherArguments(t *testing.T) {
	t.Parallel()
	s := goShopping(t, "date, *rest: Decimal, **more: 'set[int]'")
	request := service.Request{Function: "shop.f0", ID: "typed", Args: []byte(`["2026-10-31", 1.5]`), Kwargs: []byte(`{"k": [1]}`), Typed: true}
	job := s.enqueue(request)
	if again := s.enqueue(request); again.Fingerprint != job.Fingerprint || again.ID != job.ID {
		t.Errorf("repeated: %+v", again)
	}
	request.Typed = false
	if _, err := s.Enqueue(t.Context(), request); distro.ErrorCode(err) != distro.CodeConflict {
		t.Errorf("not typed: %v", err)
	}
	for _, tt := range []struct {
		request service.RerunRequest
		want    string // field of a refusal, or the call
	}{
		{service.RerunRequest{}, "datetime.date(2026, 10, 31), Decimal('1.5'), k={1}"},
		{service.RerunRequest{Kwargs: []byte("{}"), Typed: true}, "datetime.date(2026, 10, 31), Decimal('1.5')"},
		{service.RerunRequest{Args: []byte(`["2026-11-01"]`), Typed: true}, "datetime.date(2026, 11, 1), k={1}"},
		{service.RerunRequest{Args: []byte(`["1/11/2026"]`), Typed: true}, "args[0]"},
		{service.RerunRequest{Args: []byte(`["x", "y"]`), Kwargs: []byte(`{"k": [1]}`)}, "'x', 'y', k=[1]"},
		{service.RerunRequest{Kwargs: []byte("{}")}, "args"},
	} {
		again, err := s.Rerun(t.Context(), "typed", tt.request)
		got := service.ArgumentLine(again.Payload)
		if e, ok := errors.AsType[*distro.Error](err); ok {
			got = e.Field
		}
		if got != tt.want {
			t.Errorf("%+v: %s, want %s: %v", tt.request, got, tt.want, err)
		}
	}
}

func TestTypedCallsOfHistoryAreRecalledWhereTheyWereKeptWhole(t *testing.T) {
	t.Parallel()
	s := goShopping(t, "date | None, b: Client = None, c: 'list[Color]' = ()")
	for text, want := range map[string]string{
		"datetime.date(2026, 10, 31)":                         `["2026-10-31"] {}`,
		"None, c=[<shop.Color.RED>]":                          `[null] {"c":["red"]}`,
		"a=datetime.date(2026, 10, 31), c=[<shop.Color.AB...": "unknown",
		"a=datetime.date(2026, 10, 31), c=[<other.Color.NO>]": `[] {"a":"2026-10-31"}, partly`,
		"datetime.datetime(2026, 10, 31, 0, 0), c=[]":         `[] {"c":[]}, partly`,
		"(1, 2)": "unknown",
		"b=Client(name='A', born=datetime.date(2026, 1, 1), address=Address(street='R'))": `[] {"b":{"name":"A","born":"2026-01-01","address":{"street":"R"}}}`,
		"__import__('os').system('x')": "unknown",
		"…":                            "unknown",
	} {
		known := service.RecallText(s.module, s.module.Functions[0], text)
		got := fmt.Sprintf("%s %s", known.Args, known.Kwargs)
		if known.Args == nil {
			got = "unknown"
		}
		if known.Partly {
			got += ", partly"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestHostileTypedArgumentsTakeNeitherLongNorMuchRoom(t *testing.T) {
	t.Parallel()
	s := goShopping(t, "Left | Right", "list[UUID]", "Decimal", "timedelta", "'"+strings.Repeat("list[", 200)+"int"+strings.Repeat("]", 200)+"'")
	deep := strings.Repeat(`{"x":`, 60)
	for i, value := range []string{
		deep + "7" + strings.Repeat("}", 60),
		"[" + strings.Repeat(`"12345678123456781234567812345678",`, 700_000) + `"x"]`,
		`"` + strings.Repeat("9", 1<<20) + `"`,
		"1e99",
	} {
		if _, err := s.buy(t, i, value); distro.ErrorCode(err) != distro.CodeInvalid {
			t.Errorf("%.40s: %.200v", value, err)
		}
	}
	if _, err := s.buy(t, 0, deep+"null"+strings.Repeat("}", 60)); err != nil {
		t.Errorf("what is right: %v", err)
	}
	if _, err := s.buy(t, 4, strings.Repeat("[", 60)+strings.Repeat("]", 60)); err != nil {
		t.Errorf("an annotation that is too deep says nothing: %v", err)
	}
}
