package jsonscan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

func TestCheckRefusesWhatIsNotOneBoundedValue(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "nul", "tru", "[", "[1", "[1,", "[1,]", "[,1]", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{a:1}`, `{"a" 1}`,
		"1 2", "[] []", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity",
		`"`, `"a`, "\"a\nb\"", `"\x"`, `"\u12"`, `"\u12g4"`, `"\`, "'a'", "\xef\xbb\xbf{}", "\"\xff\"", "[1}", `{"a":1]`,
		"// c\n1", strings.Repeat("[", 5) + strings.Repeat("]", 5), strings.Repeat("9", jsonscan.MaxNumber+1),
	} {
		if err := jsonscan.Check([]byte(text), 4); err == nil {
			t.Errorf("Check(%.40q) accepted it", text)
		}
	}
}

func TestCheckAcceptsWhatTheStandardLibraryAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"null", " true ", "false", "0", "-0", "-1.5e-7", "12345678901234567890123", `"\u00e9\n\\\"\/"`, `"\ud800"`, "\t[\r\n] ",
		`{"a":[1,{"b":null}],"a":2,"":""}`, strings.Repeat("[", 4) + strings.Repeat("]", 4),
	} {
		if err := jsonscan.Check([]byte(text), 4); err != nil {
			t.Errorf("Check(%q) = %v", text, err)
		}
	}
}

func TestPartsAreCutAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	var got []string
	for key, value := range jsonscan.Members([]byte(` { "a" : 1.50 , "b\u0041" :[ 1,"]" ] ,"c":{"d":"}\""},"a":true } `)) {
		got = append(got, key, string(value))
	}
	want := []string{"a", "1.50", "bA", `[ 1,"]" ]`, "c", `{"d":"}\""}`, "a", "true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var parts []string
	for element := range jsonscan.Elements([]byte(`[ 12345678901234567890 ,[],"x,y" , null]`)) {
		parts = append(parts, string(element))
	}
	if diff := cmp.Diff([]string{"12345678901234567890", "[]", `"x,y"`, "null"}, parts); diff != "" {
		t.Error(diff)
	}
}

func TestEqualValuesHaveOneCanonicalForm(t *testing.T) {
	t.Parallel()
	form := func(text string) string { return string(jsonscan.AppendCanonical(nil, []byte(text))) }
	for _, pair := range [][2]string{
		{`{"a":1,"b":[2,"é"]}`, "{ \"b\" : [2, \"\\u00e9\"],\n\"a\":1}"},
		{`{"a":1,"a":2}`, `{"a":2}`},
		{`"\/<"`, `"/\u003c"`},
	} {
		if form(pair[0]) != form(pair[1]) {
			t.Errorf("%s and %s differ: %q, %q", pair[0], pair[1], form(pair[0]), form(pair[1]))
		}
	}
	for _, pair := range [][2]string{
		{"1", "1.0"}, {`"1"`, "1"}, {`["a","b"]`, `["b","a"]`}, {`[[],[]]`, `[[[]]]`}, {`["a,"]`, `["a",""]`}, {"{}", "[]"}, {`{"a":{"b":1}}`, `{"a":{},"b":1}`},
	} {
		if form(pair[0]) == form(pair[1]) {
			t.Errorf("%s and %s are both %q", pair[0], pair[1], form(pair[0]))
		}
	}
}

func TestIntegersAreTakenOnlyAsIntegersAreWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "-3": -3, "9223372036854775807": 1<<63 - 1} {
		if got, ok := jsonscan.Int([]byte(text)); !ok || got != want {
			t.Errorf("Int(%s) = %d, %t", text, got, ok)
		}
	}
	for _, text := range []string{"1.0", "1e2", "9223372036854775808", "true", `"1"`, "null", "[]"} {
		if _, ok := jsonscan.Int([]byte(text)); ok {
			t.Errorf("Int(%s) accepted it", text)
		}
	}
}

// FuzzCheck holds the scanner against the standard library's: it accepts
// nothing that encoding/json refuses, and what it accepts can be walked.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"a":[1,"b\u0041",{"c":null}],"d":-1.5e+7}`, "[[[[[[]]]]]]", "\xff", `{"a":1,"a":{"a":2}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if jsonscan.Check(data, 64) != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q is no JSON", data)
		}
		for range 2 {
			jsonscan.AppendCanonical(nil, data)
		}
	})
}
