package python

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The wire is also spoken by runner.py, of any version that is still running:
// these bytes change together with frameVersion only.
func TestFramesHaveGoldenBytes(t *testing.T) {
	t.Parallel()
	timeout := 180.0
	got, err := appendFrame(nil, kindJob, jobHeader{
		ID: "a-1", Queue: "default", Attempt: 2, Worker: "w", Serializer: "json", Timeout: &timeout, Artifacts: "/d/a",
	}, []byte(`["m.f",null,[],{}]`))
	if err != nil {
		t.Fatal(err)
	}
	header := `{"id":"a-1","queue":"default","attempt":2,"worker":"w","serializer":"json","timeout":180,"artifacts":"/d/a"}`
	want := "\x01\x02\x00\x00" + "\x00\x00\x00" + string(rune(len(header))) + "\x00\x00\x00\x12" + header + `["m.f",null,[],{}]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	f, err := readFrame(bytes.NewReader(got))
	if err != nil || f.kind != kindJob || string(f.header) != header || len(f.body) != 18 {
		t.Errorf("read back %+v, %v", f, err)
	}
}

func TestBrokenFramesAreErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data string
		want error
	}{
		"nothing is a clean end":           {"", io.EOF},
		"a torn head":                      {"\x01\x02\x00", io.ErrUnexpectedEOF},
		"a torn header":                    {"\x01\x02\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00ab", io.ErrUnexpectedEOF},
		"a body that never comes":          {"\x01\x02\x00\x00\x00\x00\x00\x00\x0f\xff\xff\xffab", io.ErrUnexpectedEOF},
		"another version":                  {"\x02\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", nil},
		"a header over the limit":          {"\x01\x02\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00", nil},
		"a body of more than is permitted": {"\x01\x02\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff", nil},
	} {
		_, err := readFrame(strings.NewReader(c.data))
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFrameOverTheLimitIsNotWritten(t *testing.T) {
	t.Parallel()
	if _, err := appendFrame(nil, kindJob, jobHeader{}, make([]byte, maxBody+1)); err == nil {
		t.Error("it was")
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x01\x03\x00\x00\x00\x00\x00\x02\x00\x00\x00\x01{}x"))
	f.Add([]byte("\x01\x03\x00\x00\x00\x0f\x00\x02\x0f\x00\x00\x01{}x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readFrame(bytes.NewReader(data))
		if err != nil {
			return
		}
		if size := frameHeadSize + len(got.header) + len(got.body); size > len(data) {
			t.Errorf("%d bytes read from %d", size, len(data))
		}
	})
}
