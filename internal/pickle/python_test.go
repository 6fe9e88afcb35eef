package pickle_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/proctest"
)

// oracle loads a pickle, compares the value with an expression or with what
// json.loads makes of a text, types and order of keys included, and pickles the
// expression itself.
const oracle = `
import collections, datetime, decimal, fractions, json, pathlib, pickle, struct, uuid

def same(a, b):
    if type(a) is not type(b):
        return False
    if type(a) is float:
        return struct.pack("d", a) == struct.pack("d", b) or a != a and b != b
    if type(a) in (list, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is dict:
        return same(list(a.items()), list(b.items()))
    return a == b

class Local:
    pass

def answer(ask):
    want = json.loads(bytes.fromhex(ask["json"])) if "json" in ask else eval(ask["text"])
    made = {}
    for protocol in range(6):
        try:
            made[protocol] = pickle.dumps(want, protocol).hex()
        except Exception:
            pass
    told = {"repr": repr(want), "made": made}
    if "pickle" in ask:
        told["same"] = same(want, pickle.loads(bytes.fromhex(ask["pickle"])))
    return told
`

type question struct {
	Pickle string `json:"pickle,omitempty"` // hexadecimal
	Text   string `json:"text,omitempty"`   // an expression
	JSON   string `json:"json,omitempty"`   // hexadecimal
}

type answer struct {
	Same bool
	Repr string
	Made map[int]string // by protocol, hexadecimal
}

type python struct{ *proctest.Oracle }

func startPython(t *testing.T) python {
	t.Helper()
	return python{proctest.StartOracle(t, oracle)}
}

func (p python) ask(t rapid.TB, q question) (a answer) {
	t.Helper()
	if err := p.Ask(q, &a); err != nil {
		t.Fatalf("%s: %v", q.Text, err)
	}
	return a
}

// sample is a value with the Python expression that makes it.
type sample struct {
	value any
	text  string
}

// characters are such as every Python has known for long whether they print.
func characters() *rapid.Generator[rune] {
	return rapid.OneOf(
		rapid.RuneFrom([]rune("'\"\\\n\r\t\x00\x1b\x7f\u00a0\u00ad\u200b\u2028\ufeff\ue000\ufffd\ufffe\U000e0001\U0010ffff")),
		rapid.Int32Range(0, 0x17f), rapid.Int32Range(0x410, 0x44f), rapid.Int32Range(0x4e00, 0x9000), rapid.Int32Range(0x1f600, 0x1f64f),
	)
}

func scalars() *rapid.Generator[sample] {
	integers := func(n *big.Int) sample {
		if n.IsInt64() {
			return sample{n.Int64(), n.String()}
		}
		return sample{n, n.String()}
	}
	return rapid.OneOf(
		rapid.SampledFrom([]sample{
			{nil, "None"}, {true, "True"}, {false, "False"}, {math.NaN(), "float('nan')"}, {math.Inf(1), "float('inf')"}, {math.Inf(-1), "-float('inf')"},
			{uint64(math.MaxUint64), "2**64-1"}, {uint8(7), "7"}, {float32(0.5), "0.5"}, {math.Copysign(0, -1), "-0.0"}, {1e16, "1e16"}, {1e-4, "1e-4"}, {9.9e-5, "9.9e-5"},
			{[]byte(strings.Repeat("x", 300)), "b'x'*300"}, {strings.Repeat("é", 300), "'\\xe9'*300"},
		}),
		rapid.Map(rapid.Int64(), func(n int64) sample { return sample{n, strconv.FormatInt(n, 10)} }),
		rapid.Custom(func(t *rapid.T) sample { // near the powers of two
			n := new(big.Int).Lsh(big.NewInt(1), uint(rapid.IntRange(0, 2100).Draw(t, "bits")))
			n.Add(n, big.NewInt(rapid.Int64Range(-2, 2).Draw(t, "off")))
			if rapid.Bool().Draw(t, "negative") {
				n.Neg(n)
			}
			return integers(n)
		}),
		rapid.Map(rapid.Float64(), func(f float64) sample {
			return sample{f, "float.fromhex('" + strconv.FormatFloat(f, 'x', -1, 64) + "')"}
		}),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) sample { return sample{b, fmt.Sprintf("bytes.fromhex('%x')", b)} }),
		rapid.Map(rapid.StringOf(characters()), func(s string) sample { return sample{s, fmt.Sprintf("bytes.fromhex('%x').decode()", s)} }),
	)
}

func values(depth int) *rapid.Generator[sample] {
	if depth == 0 {
		return scalars()
	}
	return rapid.Custom(func(t *rapid.T) sample {
		kind := rapid.IntRange(0, 4).Draw(t, "kind")
		if kind < 2 {
			return scalars().Draw(t, "scalar")
		}
		parts := rapid.SliceOfN(values(depth-1), 0, 5).Draw(t, "parts")
		var list []any
		var dict pickle.Dict
		var text, pairs strings.Builder
		for i, part := range parts {
			list = append(list, part.value)
			text.WriteString(part.text + ", ")
			key := scalars().Draw(t, "key")
			if i == 0 && rapid.Bool().Draw(t, "tuple") {
				key = sample{pickle.Tuple{key.value, "x"}, "(" + key.text + ", 'x')"}
			}
			dict = append(dict, pickle.Item{Key: key.value, Value: part.value})
			pairs.WriteString(key.text + ": " + part.text + ", ")
		}
		switch kind {
		case 2:
			return sample{list, "[" + text.String() + "]"}
		case 3:
			return sample{pickle.Tuple(list), "tuple([" + text.String() + "])"}
		}
		return sample{dict, "{" + pairs.String() + "}"}
	})
}

// readRepr is what is shown of a pickle in hexadecimal.
func readRepr(t rapid.TB, text string) string {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := pickle.Read(data, pickle.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v.Repr(whole)
}

func TestEveryWrittenValueLoadsInPythonAndReadsBackAsItsRepr(t *testing.T) {
	t.Parallel()
	python := startPython(t)
	rapid.Check(t, func(t *rapid.T) {
		s := values(3).Draw(t, "value")
		data, err := pickle.Append(nil, s.value)
		if err != nil {
			t.Fatal(err)
		}
		got := python.ask(t, question{Pickle: hex.EncodeToString(data), Text: s.text})
		if !got.Same {
			t.Fatalf("%x is not %s", data, s.text)
		}
		got.Made[-1] = hex.EncodeToString(data)
		for protocol, made := range got.Made {
			if shown := readRepr(t, made); shown != got.Repr {
				t.Fatalf("protocol %d:\n got %s\nwant %s", protocol, shown, got.Repr)
			}
		}
	})
}

// jsonText draws a JSON text with everything the grammar allows.
func jsonText(depth int) *rapid.Generator[string] {
	space := rapid.StringOfN(rapid.RuneFrom([]rune(" \t\r\n")), 0, 2, -1)
	character := rapid.OneOf(
		rapid.StringMatching(`\\u[dD][89a-fA-F][0-9a-fA-F]{2}`), rapid.StringMatching(`\\u[0-9a-fA-F]{4}`), rapid.StringMatching(`\\["\\/bfnrt]`),
		rapid.Map(rapid.RuneFrom([]rune("aé€😀 /\u2028\x7f")), func(r rune) string { return string(r) }),
	)
	text := rapid.Map(rapid.SliceOfN(character, 0, 6), func(parts []string) string { return `"` + strings.Join(parts, "") + `"` })
	scalar := rapid.OneOf(
		rapid.SampledFrom([]string{"null", "true", "false", "-0", "1e400", "-1e400", "5e-324", "2.2250738585072011e-308"}),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?`), text,
	)
	return rapid.Custom(func(t *rapid.T) string {
		around := func(s string) string { return space.Draw(t, "space") + s + space.Draw(t, "space") }
		kind := rapid.IntRange(0, 3).Draw(t, "kind")
		if kind < 2 || depth == 0 {
			return around(scalar.Draw(t, "scalar"))
		}
		parts := rapid.SliceOfN(jsonText(depth-1), 0, 5).Draw(t, "parts")
		if kind == 2 {
			return around("[" + strings.Join(parts, ",") + space.Draw(t, "space") + "]")
		}
		for i := range parts {
			key := rapid.OneOf(text, rapid.SampledFrom([]string{`"a"`, `"\u0061"`})).Draw(t, "key")
			parts[i] = around(key) + ":" + parts[i]
		}
		return around("{" + strings.Join(parts, ",") + space.Draw(t, "space") + "}")
	})
}

func TestJSONIsWrittenAsPythonLoadsIt(t *testing.T) {
	t.Parallel()
	python := startPython(t)
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(jsonText(3).Draw(t, "text"))
		data, err := pickle.AppendJSON(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		got := python.ask(t, question{Pickle: hex.EncodeToString(data), JSON: hex.EncodeToString(text)})
		if !got.Same {
			t.Fatalf("%x is not %s", data, text)
		}
		if shown := readRepr(t, hex.EncodeToString(data)); shown != got.Repr {
			t.Fatalf("got %s\nwant %s", shown, got.Repr)
		}
		// And the way back, where there is one.
		v, err := pickle.Read(data, pickle.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		back, ok := v.JSON(whole)
		if infinite := strings.Contains(got.Repr, "inf"); ok == infinite {
			t.Fatalf("%s: JSON %t", got.Repr, ok)
		}
		if ok && !python.ask(t, question{Pickle: hex.EncodeToString(data), JSON: hex.EncodeToString(back)}).Same {
			t.Fatalf("%s became %s", text, back)
		}
	})
}

func TestTypesOfTheStandardLibraryReadAsTheirRepr(t *testing.T) {
	t.Parallel()
	python := startPython(t)
	for _, text := range []string{
		"datetime.datetime(1, 1, 1)", "datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)", "datetime.datetime(2020, 1, 2, 3, 4, 0, 1)",
		"datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, minutes=-30), 'NST'))", "datetime.datetime",
		"datetime.time()", "datetime.time(23, 59, 1)", "datetime.time(0, 0, 0, 7, tzinfo=datetime.timezone.utc)", "datetime.timedelta(-1, 3, 5)", "datetime.timedelta()",
		"datetime.timezone(datetime.timedelta(0), 'Z')", "datetime.date.max",
		"decimal.Decimal('-NaN')", "decimal.Decimal('1E+5')", "fractions.Fraction(-7, 3)", "uuid.UUID(int=0)", "uuid.UUID(int=2**128-1)",
		"1j", "-0.0+1j", "complex(-0.0, -0.0)", "complex(1, -2.5)", "complex('nan')", "complex('1e300-infj')", "range(5)", "range(5, 1, -2)",
		"set()", "frozenset()", "{1}", "frozenset(['x'])", "bytearray()", "bytearray(b'\\xff')", "slice", "int", "type(None)", "len", "NotImplemented", "...",
		"collections.deque()", "collections.deque([1, 2])", "collections.deque([], 0)", "collections.OrderedDict()", "collections.defaultdict()",
		"collections.defaultdict(int, {1: 2})", "collections.deque", "decimal.Decimal", "pathlib.PurePosixPath('a/b')", "pathlib.PurePosixPath('/')", "pathlib.PurePosixPath()",
		"pathlib.PurePosixPath('//h/s')", "pathlib.PureWindowsPath('C:/a/b')", "pathlib.PureWindowsPath('C:a')", "pathlib.PureWindowsPath(r'\\\\host\\share\\x')",
		"pathlib.PosixPath('it\\'s')", "ValueError()", "KeyError('k')", "OSError('x')", "StopIteration(1)", "SystemExit()",
		"UnicodeDecodeError('utf-8', b'x', 0, 1, 'bad')", "'\\ud800'", "['\\udfff\\ud83d', '\\ud83d\\ude00']", "'\\\\u0041\\\\'", "'a\\nb'",
		"(lambda a: a.append(a) or a)([1])", "(lambda d: d.update(d=d) or d)({})", "(lambda a: a.append((a,)) or (a[0]))([])", "(lambda t: [t, t])((1, [2]))",
		"(lambda d: d.append(d) or d)(collections.deque())",
	} {
		got := python.ask(t, question{Text: text})
		if len(got.Made) < 4 { // some values have no pickle in the oldest protocols
			t.Errorf("%s is pickled %d times", text, len(got.Made))
		}
		for protocol, made := range got.Made {
			if shown := readRepr(t, made); shown != got.Repr {
				t.Errorf("%s, protocol %d:\n got %s\nwant %s", text, protocol, shown, got.Repr)
			}
		}
	}
	got := python.ask(t, question{Text: "datetime.datetime(2020, 10, 25, 1, 30, fold=1, tzinfo=datetime.timezone.utc), datetime.time(1, fold=1)"})
	for _, protocol := range []int{4, 5} { // older protocols drop the fold
		if shown := readRepr(t, got.Made[protocol]); shown != got.Repr {
			t.Errorf("got %s\nwant %s", shown, got.Repr)
		}
	}
	for protocol, made := range python.ask(t, question{Text: "(lambda o: setattr(o, 'a', [1]) or o)(Local())"}).Made {
		if shown := readRepr(t, made); shown != "<__main__.Local {'a': [1]}>" {
			t.Errorf("protocol %d: %s", protocol, shown)
		}
	}
}
