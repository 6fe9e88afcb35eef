package pickle_test

import (
	"encoding/hex"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/pickle"
)

// golden are the bytes that the specification of RQ's wire shows, each loaded
// by every Python from 3.6 on.
func golden() []struct {
	value any
	want  string
} {
	call := func(args pickle.Tuple, kwargs pickle.Dict) pickle.Tuple {
		return pickle.Tuple{"m.f", nil, args, kwargs}
	}
	scalars := pickle.Tuple{
		nil, true, false, 0, 255, 256, 65535, 65536, -1, math.MaxInt32, int64(math.MaxInt32) + 1, int64(math.MinInt32) - 1,
		new(big.Int).Lsh(big.NewInt(1), 64), 1.5, "é€😀", []byte{0, 0xff},
	}
	nested := pickle.Tuple{
		[]any{1, 2}, pickle.Dict{{"a", []any{nil}}}, pickle.Tuple{1, 2}, pickle.Tuple{},
	}
	return []struct {
		value any
		want  string
	}{
		{pickle.Tuple{"app.tasks.run", nil, pickle.Tuple{}, pickle.Dict{}}, "80 03 28 58 0d 00 00 00 61 70 70 2e 74 61 73 6b 73 2e 72 75 6e 4e 29 7d 74 2e"},
		{call(pickle.Tuple{1}, nil), "80 03 28 58 03 00 00 00 6d 2e 66 4e 4b 01 85 7d 74 2e"},
		{call(pickle.Tuple{1, "a"}, nil), "80 03 28 58 03 00 00 00 6d 2e 66 4e 4b 01 58 01 00 00 00 61 86 7d 74 2e"},
		{call(nil, pickle.Dict{{"name", "x"}, {"n", 2}}), `80 03 28 58 03 00 00 00 6d 2e 66 4e 29 7d 28 58 04 00 00 00 6e 61 6d 65 58 01 00 00 00 78
			58 01 00 00 00 6e 4b 02 75 74 2e`},
		{call(scalars, nil), `80 03 28 58 03 00 00 00 6d 2e 66 4e 28 4e 88 89 4b 00 4b ff 4d 00 01 4d ff ff 4a 00 00 01 00 4a ff ff ff ff 4a ff ff ff 7f
			8a 05 00 00 00 80 00 8a 05 ff ff ff 7f ff 8a 09 00 00 00 00 00 00 00 00 01 47 3f f8 00 00 00 00 00 00
			58 09 00 00 00 c3 a9 e2 82 ac f0 9f 98 80 43 02 00 ff 74 7d 74 2e`},
		{call(nested, pickle.Dict{{"opts", map[string]any{"deep": []any{pickle.Dict{{"k", pickle.Tuple{1.0}}}}}}}), `
			80 03 28 58 03 00 00 00 6d 2e 66 4e 28 5d 28 4b 01 4b 02 65 7d 28 58 01 00 00 00 61 5d 28 4e 65 75 4b 01 4b 02 86 29 74
			7d 28 58 04 00 00 00 6f 70 74 73 7d 28 58 04 00 00 00 64 65 65 70 5d 28 7d 28 58 01 00 00 00 6b 47 3f f0 00 00 00 00 00 00 85 75 65 75 75 74 2e`},
		{pickle.Tuple{1, 2, 3}, "80 03 4b 01 4b 02 4b 03 87 2e"},
		{math.MinInt64, "80 03 8a 08 00 00 00 00 00 00 00 80 2e"},
		{uint64(math.MaxUint64), "80 03 8a 09 ff ff ff ff ff ff ff ff 00 2e"},
		{new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 71)), "80 03 8a 09 00 00 00 00 00 00 00 00 80 2e"},
		{map[string]any{"b": 1, "a": uint8(2)}, "80 03 7d 28 58 01 00 00 00 61 4b 02 58 01 00 00 00 62 4b 01 75 2e"},
	}
}

// octets are written in hexadecimal.
func octets(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestValuesHaveExactlyTheSpecifiedBytes(t *testing.T) {
	t.Parallel()
	for _, g := range golden() {
		got, err := pickle.Append([]byte("before"), g.value)
		if want := "before" + string(octets(t, g.want)); string(got) != want || err != nil {
			t.Errorf("%v\n got %x, %v\nwant %x", g.value, got, err, want)
		}
	}
}

func TestEveryKindOfIntegerIsWritten(t *testing.T) {
	t.Parallel()
	values := []any{int8(7), int16(7), int32(7), int64(7), uint(7), uint8(7), uint16(7), uint32(7), uint64(7), big.NewInt(7)}
	got, err := pickle.Append(nil, values)
	if want := "80 03 5d 28 " + strings.Repeat("4b 07 ", len(values)) + "65 2e"; string(got) != string(octets(t, want)) || err != nil {
		t.Errorf("%x, %v", got, err)
	}
}

func TestLongBytesAndLongIntegersHaveLongLengths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value any
		head  string
	}{
		{make([]byte, 255), "80 03 43 ff"},
		{make([]byte, 256), "80 03 42 00 01 00 00"},
		{new(big.Int).Lsh(big.NewInt(1), 8*255-2), "80 03 8a ff"},
		{new(big.Int).Lsh(big.NewInt(1), 8*255-1), "80 03 8b 00 01 00 00"},
	} {
		got, err := pickle.Append(nil, tt.value)
		if err != nil || !strings.HasPrefix(string(got), string(octets(t, tt.head))) {
			t.Errorf("%x, %v, want it to begin with %s", got[:8], err, tt.head)
		}
	}
}

func TestWhatPythonCannotLoadIsNotWritten(t *testing.T) {
	t.Parallel()
	cyclic := []any{nil}
	cyclic[0] = cyclic
	for name, v := range map[string]any{
		"invalid UTF-8": "a\xff", "a surrogate": "\xed\xa0\x80", "in a key": map[string]any{"\xff": 1}, "a struct": struct{}{},
		"in a list": []any{1, []any{make(chan int)}}, "no integer": (*big.Int)(nil), "a list as a key": pickle.Dict{{[]any{}, 1}},
		"a list in a key": pickle.Dict{{pickle.Tuple{pickle.Tuple{[]any{}}}, 1}}, "cyclic": cyclic,
	} {
		if got, err := pickle.Append([]byte("before"), v); err == nil || string(got) != "before" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
