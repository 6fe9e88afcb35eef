package pickle_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro/internal/pickle"
)

// FuzzDecode: whatever comes, reading ends, shows UTF-8 no longer than asked
// for, and valid JSON or none.
func FuzzDecode(f *testing.F) {
	for _, fixture := range fixtures(f) {
		if data := fixture.data(f); len(data) < 4000 {
			f.Add(data)
		}
	}
	f.Add([]byte("i0\n"))
	f.Add([]byte("]q\x00(h\x00h\x00}(h\x00h\x00uc__builtin__\ngetattr\nh\x00U\x01a\x86R(i\nm\nC\nb."))
	f.Fuzz(func(t *testing.T, data []byte) {
		if name := pickle.Function(data); !utf8.ValidString(name) {
			t.Fatalf("%q", name)
		}
		if view, err := pickle.Call(data); err == nil && !utf8.ValidString(view.Describe(20)) {
			t.Fatalf("%q", view.Describe(20))
		}
		v, err := pickle.Read(data, pickle.Limits{Size: 1 << 16, Items: 1 << 12, Memo: 1 << 10, Depth: 50})
		if err != nil {
			return
		}
		if shown := v.Repr(100); !utf8.ValidString(shown) || utf8.RuneCountInString(shown) > 103 || shown == "" {
			t.Fatalf("%q", shown)
		}
		if text, ok := v.JSON(1000); ok && (!json.Valid(text) || len(text) > 1000) {
			t.Fatalf("%q", text)
		}
	})
}

// FuzzAppendJSON: what is written is JSON, and reads back as the value that
// encoding/json sees.
func FuzzAppendJSON(f *testing.F) {
	for _, seed := range []string{
		"null", " [1, -2.5e3, 18446744073709551616, true] ", `{"a":{"b":[]},"a":"\u00e9\ud83d\ude00\ud800"}`, `["\"\\\/\b\f\n\r\t"]`, "[[[[{}]]]]", "1e400", "NaN", "01",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		data, err := pickle.AppendJSON(nil, text)
		if valid := json.Valid(text) && utf8.Valid(text); err != nil {
			if valid && len(text) < pickle.MaxDepth {
				t.Fatalf("%q: %v", text, err)
			}
			return
		} else if !valid {
			t.Fatalf("%q is no JSON", text)
		}
		v, err := pickle.Read(data, pickle.Limits{Size: 1 << 30, Items: 1 << 30})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		back, ok := v.JSON(1 << 30)
		if !ok {
			if !infinite(tree(t, text)) {
				t.Fatalf("%q does not come back", text)
			}
			return
		}
		if want, got := tree(t, text), tree(t, back); !reflect.DeepEqual(want, got) {
			t.Fatalf("%q became %q", text, back)
		}
	})
}

// tree is the value of a JSON text, integers as their digits, other numbers
// as float64.
func tree(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return numbers(v)
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, ok := new(big.Int).SetString(string(v), 10); ok {
			return n.String()
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = numbers(v[key])
		}
	}
	return v
}

// infinite reports whether a number in v overflowed.
func infinite(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsInf(v, 0)
	case []any:
		return slices.ContainsFunc(v, infinite)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), infinite)
	}
	return false
}
