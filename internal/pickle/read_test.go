package pickle_test

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/pickle"
)

// whole is a limit that cuts nothing.
const whole = 1 << 20

// symbolic is a repr as it is shown here, where the class's own text cannot be
// known: instances of user classes, and the address of a function.
func symbolic(repr string) string {
	for _, pair := range []string{"number=41, note='custom'", "number=3, note='bound'"} {
		number, note, _ := strings.Cut(strings.TrimPrefix(pair, "number="), ", note=")
		repr = strings.ReplaceAll(repr, "Order("+pair+")", fmt.Sprintf("<fixture_app.Order {'number': %s, 'note': %s}>", number, note))
	}
	if strings.HasPrefix(repr, "<function add at 0x") {
		return "<function fixture_app.add>"
	}
	return repr
}

// fixture is a pickle made by CPython, and its repr there.
type fixture struct {
	Name     string
	Protocol int
	Error    string
	Repr     string
	Plain    []byte `json:"b64"`
	Deflated []byte `json:"zlib_b64"`
}

func (f fixture) data(t testing.TB) []byte {
	t.Helper()
	if f.Deflated == nil {
		return f.Plain
	}
	r, err := zlib.NewReader(bytes.NewReader(f.Deflated))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func fixtures(t testing.TB) []fixture {
	t.Helper()
	var file struct{ Items []fixture }
	load(t, "pickles.json", &file)
	return file.Items
}

func load(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFixtureReadsAsPythonShowsIt(t *testing.T) {
	t.Parallel()
	read := 0
	for _, f := range fixtures(t) {
		if f.Error != "" {
			continue
		}
		limit := whole
		if len([]rune(f.Repr)) == 203 && strings.HasSuffix(f.Repr, "...") {
			limit = 200
		}
		v, err := pickle.Read(f.data(t), pickle.Limits{})
		if err != nil {
			t.Errorf("%s, protocol %d: %v", f.Name, f.Protocol, err)
			continue
		}
		if got, want := v.Repr(limit), symbolic(f.Repr); got != want {
			t.Errorf("%s, protocol %d:\n got %s\nwant %s", f.Name, f.Protocol, got, want)
		}
		read++
	}
	if read < 390 {
		t.Errorf("%d fixtures", read)
	}
}

func TestStrangersAppearSymbolically(t *testing.T) {
	t.Parallel()
	const class, instance = "cm\nC\n", "cm\nC\n)\x81"
	for data, want := range map[string]string{
		class + ".":                     "<class 'm.C'>",
		"cm\n_C\n.":                     "<class 'm._C'>",
		"cm\nC.f\n.":                    "<function m.C.f>",
		"cdatetime\ndatetime\n.":        "<class 'datetime.datetime'>",
		"c__builtin__\nlong\n.":         "<class 'int'>",
		"\x80\x04c__builtin__\nlong\n.": "<function __builtin__.long>",
		instance + ".":                  "<m.C {}>",
		instance + "}b.":                "<m.C {}>",
		instance + "(dU\x01aK\x01sb.":   "<m.C {'a': 1}>",
		instance + "}(U\x01aK\x01u}(U\x01bK\x02u\x86b.":         "<m.C {'a': 1, 'b': 2}>",
		instance + "N}(U\x01bK\x02u\x86b.":                      "<m.C {'b': 2}>",
		instance + "K\x01N\x86b.":                               "<m.C (1, None)>",
		instance + "(K\x01K\x02e.":                              "<m.C [1, 2]>",
		instance + "K\x01K\x02s}b.":                             "<m.C {1: 2} {}>",
		class + "K\x01K\x02\x86\x81.":                           "<m.C(1, 2)>",
		class + ")R.":                                           "<m.C()>",
		class + "K\x01\x85R.":                                   "<m.C(1)>",
		class + "K\x01\x85}(U\x01kK\x02u\x92.":                  "<m.C(1, k=2)>",
		"(K\x01im\nC\n.":                                        "<m.C(1)>",
		"(" + class + "K\x01o.":                                 "<m.C(1)>",
		class + ")R)R.":                                         "<<m.C()>()>",
		"cm\nMyError\nK\x01\x85R.":                              "MyError(1)",
		"cexceptions\nKeyError\nU\x01k\x85R.":                   "KeyError('k')",
		"c__builtin__\ngetattr\n" + class + "U\x01D\x86R.":      "<m.C.D>",
		"c__builtin__\ngetattr\n" + class + "U\x01D\x86R)\x81.": "<m.C.D {}>",
		"c__builtin__\ngetattr\n" + instance + "U\x01f\x86R.":   "<bound method C.f of <m.C {}>>",
		"c__builtin__\ngetattr\n]U\x06append\x86R.":             "<bound method list.append of []>",
		"Pid\n.":                          "<pickle.persistent('id')>",
		"K\x01Q.":                         "<pickle.persistent(1)>",
		"\x82\x05.":                       "<copyreg.extension(5)>",
		"\x97\x98.":                       "<pickle.PickleBuffer()>",
		"cdatetime\ndate\nU\x03abc\x85R.": "<datetime.date('abc')>",
		"cuuid\nUUID\n)\x81}U\x03intJ\xff\xff\xff\xffsb.":                          "<uuid.UUID {'int': -1}>",
		"czoneinfo\nZoneInfo._unpickle\nU\x03UTCK\x01\x86R.":                       "zoneinfo.ZoneInfo(key='UTC')",
		"cpathlib._local\nPosixPath\nU\x01/U\x03usrU\x01a\x87R.":                   "PosixPath('/usr/a')",
		"cpathlib\nPureWindowsPath\nU\x03C:\\U\x01x\x86R.":                         "PureWindowsPath('C:/x')",
		"cfractions\nFraction\nU\x041/-3\x85R.":                                    "Fraction(1, -3)",
		"cdatetime\ndatetime\nU\x0a\x07\xe4\x01\x02\x03\x00\x00\x00\x00\x00\x85R.": "datetime.datetime(2020, 1, 2, 3, 0)",
	} {
		v, err := pickle.Read([]byte(data), pickle.Limits{})
		if got := v.Repr(whole); got != want || err != nil {
			t.Errorf("%q: %s, %v, want %s", data, got, err, want)
		}
	}
}

// TestKnownTypesOfUnknownShapeAppearSymbolically: arguments that CPython does
// not pickle so are shown as they are, not interpreted.
func TestKnownTypesOfUnknownShapeAppearSymbolically(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"cdatetime\ndatetime\n)R.":                       "<datetime.datetime()>",
		"cdatetime\ntime\nV\\u0100\n\x85R.":              "<datetime.time('Ā')>",
		"cdatetime\ntimedelta\nK\x01\x85R.":              "<datetime.timedelta(1)>",
		"cdatetime\ntimezone\n)R.":                       "<datetime.timezone()>",
		"cdatetime\ntimezone\nK\x01\x85R.":               "datetime.timezone(1)",
		"cdatetime\ntzinfo\n)R.":                         "<datetime.tzinfo()>",
		"c__builtin__\nset\nK\x01\x85R.":                 "<set(1)>",
		"c__builtin__\nbytearray\nK\x01\x85R.":           "<bytearray(1)>",
		"c__builtin__\ncomplex\nK\x01\x85R.":             "<complex(1)>",
		"c__builtin__\ncomplex\nK\x01K\x02\x86R.":        "<complex(1, 2)>",
		"c__builtin__\nrange\nK\x01\x85R.":               "<range(1)>",
		"c__builtin__\ntype\nK\x01\x85R.":                "<type(1)>",
		"c__builtin__\nobject\n)R.":                      "<object()>",
		"c_codecs\nencode\nV\\u0100\nU\x06latin1\x86R.":  "<_codecs.encode('Ā', 'latin1')>",
		"ccollections\nOrderedDict\nK\x01\x85R.":         "<collections.OrderedDict(1)>",
		"ccollections\ndefaultdict\nK\x01K\x02\x86R.":    "<collections.defaultdict(1, 2)>",
		"ccollections\ndeque\nK\x01\x85R.":               "<collections.deque(1)>",
		"ccollections\ndeque\n](K\x01K\x02e\x85RK\x03a.": "deque([1, 2, 3])",
		"ccollections\nCounter\n)R.":                     "<collections.Counter()>",
		"cdecimal\nDecimal\n)R.":                         "<decimal.Decimal()>",
		"cfractions\nFraction\n)R.":                      "<fractions.Fraction()>",
		"cfractions\nFraction\nK\x01\x85R.":              "<fractions.Fraction(1)>",
		"cfractions\nFraction\nU\x015\x85R.":             "Fraction(5, 1)",
		"cuuid\nUUID\n)\x81.":                            "<uuid.UUID {}>",
		"cuuid\nUUID\n)\x81}b.":                          "<uuid.UUID {}>",
		"czoneinfo\nZoneInfo._unpickle\n)R.":             "<zoneinfo.ZoneInfo._unpickle()>",
		"cpathlib\nPosixPath\nK\x01\x85R.":               "<pathlib.PosixPath(1)>",
		"cpathlib\nOther\n)R.":                           "<pathlib.Other()>",
		"cm\nC\n)}K\x01K\x02s\x92.":                      "<m.C(1=2)>",
		"cm\nC\n)}(U\x01aNU\x01bNu\x92.":                 "<m.C(a=None, b=None)>",
	} {
		v, err := pickle.Read([]byte(data), pickle.Limits{})
		if got := v.Repr(whole); got != want || err != nil {
			t.Errorf("%q: %s, %v, want %s", data, got, err, want)
		}
	}
}

func TestKeysThatAreEqualInPythonAreOneKey(t *testing.T) {
	t.Parallel()
	var pairs strings.Builder
	want := "{'0': None"
	for i := range 100 { // many keys are found in another way than few
		fmt.Fprintf(&pairs, "S'%d'\nI%d\n", i%50, i)
	}
	for i := range 50 {
		want += fmt.Sprintf(", '%d': %d", i, i+50)
	}
	want = strings.Replace(want, "None, '0': 50", "50", 1)
	for data, want := range map[string]string{
		"}(" + pairs.String() + "u.":                   want + "}",
		"}(U\x01aK\x01U\x01bK\x02U\x01aK\x03u.":        "{'a': 3, 'b': 2}",
		"}(K\x01N\x88K\x02F1.0\nK\x03K\x00N\x89\x88u.": "{1: 3, 0: True}",
		"}(F1e20\nNL100000000000000000000L\nK\x01u.":   "{1e+20: 1}",
		"}(U\x011NK\x01NC\x011Nu.":                     "{'1': None, 1: None, b'1': None}",
		"}(Fnan\nNFnan\nNu.":                           "{nan: None, nan: None}",
	} {
		v, err := pickle.Read([]byte(data), pickle.Limits{})
		if got := v.Repr(whole); got != want || err != nil {
			t.Errorf("%.60q: %s, %v, want %s", data, got, err, want)
		}
	}
}

func TestReprIsCutAtCharacters(t *testing.T) {
	t.Parallel()
	data, err := pickle.Append(nil, []any{"éé", strings.Repeat("😀", 1000), 1})
	if err != nil {
		t.Fatal(err)
	}
	v, err := pickle.Read(data, pickle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	text := "['éé', '" + strings.Repeat("😀", 1000) + "', 1]"
	for _, limit := range []int{0, 1, 3, 4, 75, 1011, 1012, 1013, 1014, whole} {
		want := text
		if runes := []rune(text); len(runes) > limit {
			want = string(runes[:limit]) + "..."
		}
		if got := v.Repr(limit); got != want {
			t.Errorf("%d: %s", limit, got)
		}
	}
}

func TestOnlyPlainDataIsJSON(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"N.": "null", "\x88.": "true", "I00\n.": "false", "K\x05.": "5", "L-18446744073709551616L\n.": "-18446744073709551616",
		"F1e22\n.": "1e+22", "F-0.0\n.": "-0.0", "V\\u00e9\\ud800\\U0001f600\"\\\\\n.": `"é\ud800😀\"\\\\"`, "S'\\n\\x01'\n.": `"\u000a\u0001"`,
		"](K\x01]e.": "[1,[]]", "}(U\x01aN}U\x01b]u.": "", "}(U\x01aNU\x01b]u.": `{"a":null,"b":[]}`,
		"}K\x01Ns.": "", ").": "", "C\x01a.": "", "Finf\n.": "", "Fnan\n.": "", "\x8f.": "", "cm\nC\n.": "", "]cm\nC\n)\x81a.": "",
		"]q\x00h\x00a.": "", "]q\x00](h\x00h\x00e.": "[[],[]]",
	} {
		v, err := pickle.Read([]byte(data), pickle.Limits{})
		if err != nil {
			if want != "" {
				t.Errorf("%q: %v", data, err)
			}
			continue
		}
		got, ok := v.JSON(100)
		if string(got) != want || ok != (want != "") || ok && !json.Valid(got) {
			t.Errorf("%q: %s, %t, want %s", data, got, ok, want)
		}
		if _, ok := v.JSON(len(want) - 1); ok {
			t.Errorf("%q: longer than its limit", data)
		}
	}
}

func TestWhatIsNoPickleIsRefused(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"", ".", "(.", "N", "K", "X\xff\xff\xff\xff.", "\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "\x8b\xff\xff\xff\x7f.", "0.", "2.", "t.", "(N\x85(\x86.",
		"h\x00.", "g0\n.", "p0\n.", "gx\n.", "p-1\n.", "g9999999999\n.", "Na.", "NNa.", ")(Ne.", "](NNu.", "}(Nu.", "}Na.", "NN\x93.", "cm\n", "c\n", "NNR.", "cm\nC\nNR.", "cm\nC\n]R.",
		"cm\nC\n))\x92.", "(o.", "\x91.", "\x90.", "Nb.", "I1x\n.", "I\n.", "Lx\n.", "L" + strings.Repeat("9", 4302) + "L\n.", "Fx\n.", "V\\u12\n.", "V\\UFFFFFFFF\n.",
		"S'a\n.", "Sa\n.", "S'\\q'\n.", "\xff.", "\x00.", "(" + strings.Repeat("(", pickle.MaxDepth) + "t.", "c" + strings.Repeat("m", 2000) + "\nC\n.",
	} {
		if v, err := pickle.Read([]byte(data), pickle.Limits{}); err == nil {
			t.Errorf("%.40q is %s", data, v.Repr(100))
		}
	}
}

func TestReadingIsBounded(t *testing.T) {
	t.Parallel()
	limits := pickle.Limits{Size: 1000, Items: 100, Memo: 10, Depth: 20}
	key := "U\xff" + strings.Repeat("k", 255) + "\x94}(h\x00N"
	for name, pair := range map[string][2]string{
		"size":  {strings.Repeat("\x80\x03", 499) + "N.", strings.Repeat("\x80\x03", 500) + "N."},
		"items": {"(" + strings.Repeat("N", 99) + "l.", "(" + strings.Repeat("N", 100) + "l."},
		"memo":  {"N" + strings.Repeat("\x94", 10) + ".", "N" + strings.Repeat("\x94", 11) + "."},
		"marks": {strings.Repeat("(", 20) + "N" + strings.Repeat("t", 20) + ".", strings.Repeat("(", 21) + "N" + strings.Repeat("t", 21) + "."},
		"copies": {
			"c_codecs\nencode\nq\x00U\xff" + strings.Repeat("k", 255) + "U\x06latin1\x86q\x01R" + strings.Repeat("h\x00h\x01R", 10) + ".",
			"c_codecs\nencode\nq\x00U\xff" + strings.Repeat("k", 255) + "U\x06latin1\x86q\x01R" + strings.Repeat("h\x00h\x01R", 20) + ".",
		},
		"long keys": {key + strings.Repeat("h\x00N", 15) + "u.", key + strings.Repeat("h\x00N", 20) + "u."},
	} {
		if _, err := pickle.Read([]byte(pair[0]), limits); err != nil {
			t.Errorf("%s: within the limit: %v", name, err)
		}
		if v, err := pickle.Read([]byte(pair[1]), limits); err == nil {
			t.Errorf("%s: beyond the limit: %s", name, v.Repr(100))
		}
	}
}

// TestSmallPicklesOfHugeValuesAreShownInPart: sharing makes values that grow
// with every byte of their pickle, and nesting that no stack would hold.
func TestSmallPicklesOfHugeValuesAreShownInPart(t *testing.T) {
	t.Parallel()
	laughs, dicts := "]q\x00", "}q\x00"
	for i := range 200 {
		laughs += fmt.Sprintf("](h%ch%ceq%c", i, i, i+1)
		dicts += fmt.Sprintf("}(Nh%cK\x01h%cuq%c", i, i, i+1)
	}
	for name, data := range map[string]string{
		"laughs": latin(laughs) + ".", "dicts": latin(dicts) + ".", "deep list": strings.Repeat("]", 100_000) + strings.Repeat("a", 99_999) + ".",
		"deep tuple": ")" + strings.Repeat("\x85", 100_000) + ".", "deep call": "cm\nf\n" + strings.Repeat(")R", 100_000) + ".",
		"deep attribute": "c__builtin__\ngetattr\nq\x00cm\nC\n" + strings.Repeat("q\x01h\x00h\x01U\x01a\x86R", 50_000) + ".",
		"cycle":          "]q\x00}q\x01Nh\x00sa.",
		"huge integer":   "\x8b\x00\x00\x08\x00" + strings.Repeat("\x7f", 1<<19) + ".",
	} {
		v, err := pickle.Read([]byte(data), pickle.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := v.Repr(1000); len(got) > 4003 || len(got) < 9 {
			t.Errorf("%s: %d bytes: %.80s", name, len(got), got)
		}
		if _, ok := v.JSON(1000); ok {
			t.Errorf("%s is JSON", name)
		}
	}
}

// latin turns characters into the bytes they number.
func latin(s string) string {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		out = append(out, byte(r))
	}
	return string(out)
}
