package dashboard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/upload"
)

// sentFile is a file that a browser sends for a field.
type sentFile struct{ field, name, content string }

// multi sends a form with files as browsers do; pairs are its other controls.
func (b *bundle) multi(address string, files []sentFile, pairs ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	body, kind := multipartOf(b.t, files, pairs...)
	return b.send(http.MethodPost, address, body, "Sec-Fetch-Site", "same-origin", "Content-Type", kind)
}

func multipartOf(t *testing.T, files []sentFile, pairs ...string) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := w.WriteField(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		part, err := w.CreateFormFile("file:"+f.field, f.name)
		if err == nil {
			_, err = io.WriteString(part, f.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// filed is module m, whose function f has a path and octets.
func filed() []distro.Module {
	return []distro.Module{{Name: "m", Types: declared(), Functions: []distro.Function{{Name: "f", Parameters: []distro.Parameter{
		{Name: "n", Kind: distro.PositionalOrKeyword, Annotation: "int", Default: text("1")},
		{Name: "p", Kind: distro.PositionalOrKeyword, Annotation: "Path | None", Default: text("None")},
		{Name: "b", Kind: distro.PositionalOrKeyword, Annotation: "Optional[bytes]", Default: text("None")},
	}}}}}
}

func TestAFileBecomesTheArgumentThatItsAnnotationAsksFor(t *testing.T) {
	t.Parallel()
	annotations := []string{
		"Path", "pathlib.Path", "PurePath", "os.PathLike", "Path | None", "Optional[Path]", "Union[str, Path]", "bytes", "bytearray", "bytes | None",
	}
	var modules []distro.Module
	for i, annotation := range annotations {
		modules = append(modules, module(fmt.Sprintf("m%d", i), annotation, nil))
	}
	b := setup(t, modules)
	for i, annotation := range annotations {
		address := fmt.Sprintf("/automations/m%d/f", i)
		for _, content := range []string{"", "linha\r\n1", "\x00\xff\xfe"} {
			p := readPage(t, b.get(address))
			if p.kinds["file:kw.a"] != "file" || !strings.Contains(p.text, `enctype="multipart/form-data"`) {
				t.Fatalf("%s takes no file: %v", annotation, p.kinds)
			}
			_, _, kwargs := b.ran(b.multi(address, []sentFile{{"kw.a", "../../a b.csv", content}}, "kw.a", "typed before"))
			var got map[string]string
			if err := json.Unmarshal([]byte(kwargs), &got); err != nil {
				t.Fatalf("%s: %s: %v", annotation, kwargs, err)
			}
			if strings.Contains(annotation, "byte") {
				if want := map[string]string{"": "", "linha\r\n1": "data:;base64,bGluaGENCjE=", "\x00\xff\xfe": "data:;base64,AP/+"}[content]; got["a"] != want {
					t.Errorf("%s: %q is %s", annotation, content, kwargs)
				}
				continue
			}
			kept, err := os.ReadFile(got["a"])
			if err != nil || string(kept) != content || filepath.Base(got["a"]) != "a b.csv" || filepath.Dir(filepath.Dir(got["a"])) != b.kept {
				t.Errorf("%s: %q is %s: %q, %v", annotation, content, kwargs, kept, err)
			}
		}
	}
}

func TestAFormWithoutAFileIsSentAsOneWithIt(t *testing.T) {
	t.Parallel()
	b := setup(t, filed())
	none := []sentFile{{"kw.p", "", ""}, {"kw.b", "", ""}}
	if _, _, kwargs := b.ran(b.multi(address, none, "kw.n", "7", "kw.p", "/tmp/x", "kw.b", "é")); !same(t, kwargs, `{"n": 7, "p": "/tmp/x", "b": "é"}`) {
		t.Errorf("got %s", kwargs)
	}
	if _, _, kwargs := b.ran(b.multi(address, none, "kw.n", "7", "kw.p", "", "null:kw.p", "1", "kw.b", "", "null:kw.b", "1")); !same(t, kwargs, `{"n": 7}`) {
		t.Errorf("got %s", kwargs)
	}
	if list, err := os.ReadDir(b.kept); err == nil && len(list) > 0 {
		t.Errorf("%d files are kept", len(list))
	}
}

func TestFilesOfAFormThatComesBackAreKeptOrAskedForAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, filed())
	w := b.multi(address, []sentFile{{"kw.p", "nota <1>.xml", "path"}, {"kw.b", "logo.png", "octets"}}, "kw.n", "no number", "kw.p", "", "kw.b", "", "null:kw.b", "1")
	if w.Code != http.StatusUnprocessableEntity || b.jobs() > 0 {
		t.Fatalf("answered %d", w.Code)
	}
	p := readPage(t, w.Body.String())
	has(t, p.text, "nota _1_.xml (4 B)", "Choose “logo.png” again")
	ref := p.values.Get("ref:kw.p")
	if ref == "" || p.kinds["ref:kw.p"] != "checkbox" || p.values.Has("ref:kw.b") {
		t.Fatalf("kept %q", p.values)
	}
	_, _, kwargs := b.ran(b.submit(address, p, "kw.n", "2"))
	if !strings.Contains(kwargs, filepath.Join(ref, "nota _1_.xml")) || strings.Contains(kwargs, `"b"`) {
		t.Errorf("got %s", kwargs)
	}
	// Another file counts in place of the one that was sent before, and so does none where that is not wanted.
	if _, _, kwargs := b.ran(b.multi(address, []sentFile{{"kw.p", "other", "x"}}, "kw.n", "3", "ref:kw.p", ref)); !strings.Contains(kwargs, "other") {
		t.Errorf("got %s", kwargs)
	}
	delete(p.values, "ref:kw.p")
	if _, _, kwargs := b.ran(b.submit(address, p, "kw.n", "4")); strings.Contains(kwargs, "nota") {
		t.Errorf("got %s", kwargs)
	}
}

func TestAReferenceNamesNothingButAnUpload(t *testing.T) {
	t.Parallel()
	b := setup(t, filed())
	for _, ref := range []string{"", "..", "/etc/passwd", "../../etc/passwd", strings.Repeat("0", 32), "\x00", strings.Repeat("a", 10_000)} {
		w := b.post(address, "kw.n", "2", "ref:kw.p", ref, "ref:kw.b", ref, "ref:kw.n", ref, "ref:", ref, "lost:kw.p", "<b>forged</b>")
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(problems(w.Body.String()), "p : The file that was sent before is no longer kept") {
			t.Errorf("%.20q: answered %d: %s", ref, w.Code, problems(w.Body.String()))
		}
		if strings.Contains(w.Body.String(), "forged") {
			t.Errorf("a name that was never chosen is shown")
		}
	}
	if b.jobs() > 0 {
		t.Error("a job was made")
	}
	if p := readPage(t, b.get(address+"?ref:kw.p="+strings.Repeat("0", 32))); strings.Contains(p.text, "no longer") || p.values.Has("ref:kw.p") {
		t.Error("a reference is taken from an address")
	}
}

func TestAFileThatIsTooLargeIsRefusedAtItsField(t *testing.T) {
	t.Parallel()
	b := setup(t, filed())
	half := strings.Repeat("x", maxUpload/2+1)
	for name, c := range map[string]struct {
		files []sentFile
		want  string
	}{
		"a path":    {[]sentFile{{"kw.p", "big", half + half}}, "p : The file is too large: the files of this form may have 1.0 MB together."},
		"far more":  {[]sentFile{{"kw.p", "big", strings.Repeat(half, 20)}, {"kw.b", "small", "x"}}, "p : The file is too large: the files of this form may have 1.0 MB together."},
		"octets":    {[]sentFile{{"kw.b", "big", half + half}}, "b : The file is too large: contents of files may have 786 kB together as arguments."},
		"one twice": {[]sentFile{{"kw.p", "a", "1"}, {"kw.p", "b", "2"}}, "p : Give one file a field, and at most 100 in all."},
	} {
		w := b.multi(address, c.files, "kw.n", "42")
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(problems(w.Body.String()), c.want) {
			t.Errorf("%s: answered %d: %s", name, w.Code, problems(w.Body.String()))
			continue
		}
		if got := readPage(t, w.Body.String()).values.Get("kw.n"); got != "42" {
			t.Errorf("%s: what was entered beside it is %q", name, got)
		}
	}
	if b.jobs() > 0 {
		t.Error("a job was made")
	}
	most := strings.Repeat("x", (maxArguments-1<<8)/4*3)
	if _, _, kwargs := b.ran(b.multi(address, []sentFile{{"kw.b", "most", most}, {"kw.p", "most", strings.Repeat("x", maxUpload)}})); len(kwargs) < len(most) {
		t.Errorf("got %d bytes", len(kwargs))
	}
}

func TestHostileFormsWithFilesAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, filed())
	body, kind := multipartOf(t, []sentFile{{"kw.p", "a", "content"}}, "kw.n", "2")
	for name, c := range map[string]struct {
		body, kind string
	}{
		"cut":         {body[:len(body)/2], kind},
		"cut early":   {body[:strings.Index(body, "2\r\n--")+5], kind},
		"no end":      {body[:strings.LastIndex(body, "\r\n--")], kind},
		"no parts":    {"\r\n", kind},
		"no boundary": {body, "multipart/form-data"},
		"wrong":       {body, "multipart/form-data; boundary=x"},
		"long text": {func() string {
			long, _ := multipartOf(t, nil, "kw.n", strings.Repeat("9", 6<<20))
			return long
		}(), ""},
	} {
		if c.kind == "" {
			c.kind = "multipart/form-data; boundary=" + strings.TrimPrefix(strings.SplitN(c.body, "\r\n", 2)[0], "--")
		}
		if w := b.send(http.MethodPost, address, c.body, "Sec-Fetch-Site", "same-origin", "Content-Type", c.kind); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: answered %d", name, w.Code)
		}
	}
	// What is no field that takes files is passed over, and other forms take none.
	if _, _, kwargs := b.ran(b.multi(address, []sentFile{{"kw.n", "a", "8"}, {"opt.queue", "a", "low"}, {"kw.nothing", "a", "x"}, {"", "a", "x"}})); kwargs != "{}" {
		t.Errorf("got %s", kwargs)
	}
	long := strings.Repeat("x", 5<<20)
	if w := b.send(http.MethodPost, "/preferences", "back="+long, "Sec-Fetch-Site", "same-origin"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("another form of 5 MB: answered %d", w.Code)
	}
	if list, err := os.ReadDir(b.kept); err == nil && len(list) > 0 {
		t.Errorf("%d files are kept", len(list))
	}
}

func TestOnlyWhoMayRunJobsSendsFiles(t *testing.T) {
	t.Parallel()
	b := setup(t, filed(), closed)
	body, kind := multipartOf(t, []sentFile{{"kw.p", "a", "content"}})
	for _, c := range []struct {
		token, site string
		want        int
	}{{"", "same-origin", http.StatusUnauthorized}, {readSecret, "same-origin", http.StatusForbidden}, {secret, "cross-site", http.StatusForbidden}} {
		header := []string{"Sec-Fetch-Site", c.site, "Content-Type", kind}
		if c.token != "" {
			header = append(header, "Authorization", "Bearer "+c.token)
		}
		w := b.send(http.MethodPost, address, body, header...)
		if w.Code != c.want || strings.HasPrefix(w.Header().Get("Location"), "/jobs/") {
			t.Errorf("%v: answered %d", c, w.Code)
		}
	}
	if list, err := os.ReadDir(b.kept); err == nil || b.jobs() > 0 {
		t.Errorf("%d files are kept", len(list))
	}
}

func TestAFormWithAFileThatIsSentTwiceMakesOneJob(t *testing.T) {
	t.Parallel()
	b := setup(t, filed(), func(o *dashboard.Options) { o.Now = time.Now })
	first, _, kwargs := b.ran(b.multi(address, []sentFile{{"kw.p", "a", "x"}}, "opt.id", "chosen"))
	again, _, _ := b.ran(b.multi(address, []sentFile{{"kw.p", "a", "x"}}, "opt.id", "chosen"))
	other, _, changed := b.ran(b.multi(address, []sentFile{{"kw.p", "a", "y"}}, "opt.id", "chosen"))
	if first.ID != again.ID || other.ID == first.ID || changed == kwargs {
		t.Errorf("made %s, %s, %s", first.ID, again.ID, other.ID)
	}
}

func TestFilesMoveWithTheirRows(t *testing.T) {
	t.Parallel()
	modules := only("list[Doc]", nil)
	modules[0].Types = append(modules[0].Types, distro.Type{Name: "Doc", Kind: distro.Record, Class: true, Fields: []distro.Parameter{
		{Name: "file", Annotation: "Path"}, {Name: "logo", Annotation: "bytes", Default: text("b''")},
	}})
	b := setup(t, modules)
	w := b.multi(address, []sentFile{{"kw.a.0.file", "zero", "0"}, {"kw.a.1.file", "one", "1"}, {"kw.a.1.logo", "logo.png", "2"}}, "n:kw.a", "2", "drop", "kw.a.0")
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d", w.Code)
	}
	p := readPage(t, w.Body.String())
	has(t, p.text, "Use one (1 B)", "Choose “logo.png” again")
	if strings.Contains(p.text, "Use zero") || strings.Count(p.text, "again:") != 1 {
		t.Error("what was in the row that is gone is still there")
	}
	if _, _, kwargs := b.ran(b.submit(address, p)); !strings.Contains(kwargs, "one") {
		t.Errorf("got %s", kwargs)
	}
	w = b.submit(address, p, "as-json", "kw.a")
	if p := readPage(t, w.Body.String()); !strings.Contains(p.values.Get("kw.a"), "one") || p.values.Has("ref:kw.a.0.file") {
		t.Errorf("as JSON: %q", p.values)
	}
}

// refusing is a place for uploads in which nothing can be kept.
type refusing struct{ err error }

func (r refusing) Save(string, string, io.Reader, int64) (upload.File, error) {
	return upload.File{}, r.err
}

func (r refusing) Find(string) (upload.File, error) { return upload.File{}, upload.ErrNotFound }

func TestAFileForWhichThereIsNoRoomSaysSo(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		errors.Join(upload.ErrFull, syscall.ENOSPC): http.StatusInsufficientStorage,
		upload.ErrInterrupted:                       http.StatusUnprocessableEntity,
		errors.New("torn"):                          http.StatusInternalServerError,
	} {
		b := setup(t, filed())
		full, failed := service.New(service.Options{
			Broker: b.broker, Catalog: catalog{modules: filed()}, Output: b.output, Queues: []string{"default"}, Uploads: refusing{err}, MaxUpload: 1,
		})
		if failed != nil {
			t.Fatal(failed)
		}
		other := setup(t, filed(), func(o *dashboard.Options) { o.Service = full })
		w := other.multi(address, []sentFile{{"kw.p", "a", "x"}})
		if w.Code != want {
			t.Errorf("%v: answered %d", err, w.Code)
		}
		if want == http.StatusInsufficientStorage {
			has(t, w.Body.String(), "No room left on the disk")
		}
	}
}

func TestWithoutAPlaceForFilesPathsAreText(t *testing.T) {
	t.Parallel()
	b := setup(t, filed())
	none, err := service.New(service.Options{Broker: b.broker, Catalog: catalog{modules: filed()}, Output: b.output, Queues: []string{"default"}, Uploads: b.uploads})
	if err != nil {
		t.Fatal(err)
	}
	other := setup(t, filed(), func(o *dashboard.Options) { o.Service = none })
	if p := readPage(t, other.get(address)); p.kinds["file:kw.p"] != "" || p.kinds["file:kw.b"] != "file" {
		t.Errorf("there are %v", p.kinds)
	}
	if _, err := none.Upload(t.Context(), "a", "", strings.NewReader("x"), 1); distro.ErrorCode(err) != distro.CodeForbidden {
		t.Errorf("got %v", err)
	}
}

func TestAFieldSaysWhichWorkersCannotReadAFile(t *testing.T) {
	t.Parallel()
	b := setup(t, filed(), func(o *dashboard.Options) { o.Now, o.Host = time.Now, "here" })
	beat := func(host string) {
		req := broker.ExchangeRequest{Worker: distro.Worker{Name: "w-" + host, Host: host, Slots: 1, Queues: []string{"default"}}, Beat: 1}
		if _, err := b.broker.Exchange(context.WithoutCancel(t.Context()), req); err != nil {
			t.Fatal(err)
		}
	}
	beat("here")
	if page := b.get(address); strings.Contains(page, "cannot read it") {
		t.Error("this machine is taken for another")
	}
	beat("rpa-<02>")
	has(t, b.get(address), "Workers on other machines cannot read it: rpa-&lt;02&gt;")
	has(t, b.get(address, "Accept-Language", "pt-BR"), "Workers em outras máquinas não conseguem lê-lo: rpa-&lt;02&gt;")
}
