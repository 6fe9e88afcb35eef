package pickle_test

import (
	"testing"

	"github.com/distro-orchestrator/distro/internal/pickle"
)

func TestAValueIsTakenApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		made      any
		elements  string // the reprs, -: none
		entries   string
		text      string
		class     string
		unordered bool
	}{
		{[]any{int64(1), "a"}, "1 'a' ", "-", "-", "list", false},
		{pickle.Tuple{}, "", "-", "-", "tuple", false},
		{pickle.Set{int64(1)}, "1 ", "-", "-", "set", true},
		{pickle.Frozenset{}, "", "-", "-", "frozenset", true},
		{pickle.Dict{{Key: "k", Value: nil}, {Key: int64(2), Value: "v"}}, "-", "'k'=None 2='v' ", "-", "dict", false},
		{"olá", "-", "-", "olá", "str", false},
		{pickle.Made{Module: "m", Name: "C"}, "-", "-", "-", "m.C", false},
		{nil, "-", "-", "-", "NoneType", false},
	} {
		data, err := pickle.Append(nil, tt.made)
		if err != nil {
			t.Fatal(err)
		}
		v, err := pickle.Read(data, pickle.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		elements, entries, text := "-", "-", "-"
		if list, ok := v.Elements(); ok {
			elements = ""
			for _, e := range list {
				elements += e.Repr(10) + " "
			}
		}
		if list, ok := v.Entries(); ok {
			entries = ""
			for _, e := range list {
				entries += e.Key.Repr(10) + "=" + e.Value.Repr(10) + " "
			}
		}
		if s, ok := v.Text(); ok {
			text = s
		}
		if elements != tt.elements || entries != tt.entries || text != tt.text || v.Type() != tt.class || v.Unordered() != tt.unordered {
			t.Errorf("%#v: %q %q %q %q %v", tt.made, elements, entries, text, v.Type(), v.Unordered())
		}
	}
}
