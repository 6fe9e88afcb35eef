package pickle_test

import (
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/pickle"
)

func TestACallOfJSONHasTheBytesOfItsValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, kwargs, want string }{
		{"", "", "29 7d"},
		{" [ ] ", "\n{ }", "29 7d"},
		{"[1]", "{}", "4b 01 85 7d"},
		{`[1,"a"]`, "{}", "4b 01 58 01 00 00 00 61 86 7d"},
		{"[null, true ,false]", "{}", "4e 88 89 87 7d"},
		{"[1,2,3,4]", "{}", "28 4b 01 4b 02 4b 03 4b 04 74 7d"},
		{"[[],[[0]],{},5,6]", "{}", "28 5d 5d 28 5d 28 4b 00 65 65 7d 4b 05 4b 06 74 7d"},
		{"[]", `{"name":"x","n":2}`, "29 7d 28 58 04 00 00 00 6e 61 6d 65 58 01 00 00 00 78 58 01 00 00 00 6e 4b 02 75"},
		{"[1e1,-0.0,-0]", "{}", "47 40 24 00 00 00 00 00 00 47 80 00 00 00 00 00 00 00 4b 00 87 7d"},
		{"[1e400,-1E+400,1e-400]", "{}", "47 7f f0 00 00 00 00 00 00 47 ff f0 00 00 00 00 00 00 47 00 00 00 00 00 00 00 00 87 7d"},
		{"[18446744073709551616,-9223372036854775809]", "", "8a 09 00 00 00 00 00 00 00 00 01 8a 09 ff ff ff ff ff ff ff 7f ff 86 7d"},
		{`["\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\\u0000"]`, "", "58 0f 00 00 00 c3 a9 f0 9f 98 80 2f 08 0c 0a 0d 09 22 5c 00 85 7d"},
		{`["\ud800","\uDFFF\ud800","\ud800\ud83d\ude00"]`, "", `58 03 00 00 00 ed a0 80 58 06 00 00 00 ed bf bf ed a0 80
			58 07 00 00 00 ed a0 80 f0 9f 98 80 87 7d`},
		{"[]", `{"a":1,"b":2,"a":3}`, "29 7d 28 58 01 00 00 00 61 4b 01 58 01 00 00 00 62 4b 02 58 01 00 00 00 61 4b 03 75"},
	} {
		got, err := pickle.AppendCall([]byte("before"), "m.f", []byte(tt.args), []byte(tt.kwargs))
		want := "before" + string(octets(t, "80 03 28 58 03 00 00 00 6d 2e 66 4e"+tt.want+"74 2e"))
		if string(got) != want || err != nil {
			t.Errorf("%s %s\n got %x, %v\nwant %x", tt.args, tt.kwargs, got, err, want)
		}
	}
}

func TestWhatIsNoJSONIsNotWritten(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`[{"a":`, n/2) + "1" + strings.Repeat("}]", n/2) }
	for _, text := range []string{
		"", " ", "nul", "tru", "falsy", "[", "[1", "[1,", "[1,]", "[,1]", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{a:1}`, `{"a" 1}`,
		"1 2", "[] []", "01", "-01", "-", "+1", ".5", "1.", "1.e1", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "\x00",
		`"`, `"a`, "\"a\nb\"", `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\u12`, "'a'", "\xef\xbb\xbf{}", "\"\xff\"", "\"\xed\xa0\x80\"", "[1}", `{"a":1]`,
		"// c\n1", strings.Repeat("9", 4301), deep(pickle.MaxDepth + 2),
	} {
		if got, err := pickle.AppendJSON([]byte("before"), []byte(text)); err == nil || string(got) != "before" {
			t.Errorf("%.40q: %.40q, %v", text, got, err)
		}
	}
	for _, text := range []string{deep(pickle.MaxDepth), "-" + strings.Repeat("9", 4300), strings.Repeat("9", 4301) + ".5"} {
		if _, err := pickle.AppendJSON(nil, []byte(text)); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	for _, tt := range [][3]string{{"\xff", "[]", "{}"}, {"m.f", "{}", "{}"}, {"m.f", "[]", "[]"}, {"m.f", "null", ""}, {"m.f", "[1", ""}, {"m.f", " ", ""}, {"m.f", "", "{} 1"}} {
		if got, err := pickle.AppendCall([]byte("before"), tt[0], []byte(tt[1]), []byte(tt[2])); err == nil || string(got) != "before" {
			t.Errorf("%q: %q, %v", tt, got, err)
		}
	}
}
