package httpapi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/artifact"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

const png = "\x89PNG\r\n\x1a\n0000"

// leave makes a file as an attempt of a job does.
func (b *bundle) leave(id string, attempt int, name, text string) {
	b.t.Helper()
	file := filepath.Join(b.folder, artifact.Folder(id, attempt), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func TestTheFilesOfAJobAreListed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("default")
	path := "/api/v1/jobs/" + id + "/artifacts"
	if list := ask[httpapi.ArtifactList](b, 200, "GET", path, ""); list.Artifacts == nil || len(list.Artifacts) != 0 {
		t.Errorf("%+v", list)
	}
	ask[httpapi.Problem](b, 404, "GET", "/api/v1/jobs/none/artifacts", "")
	b.leave(id, 1, "a b/página.html", "<b>")
	b.leave(id, 2, "shot.png", png)
	list := ask[httpapi.ArtifactList](b, 200, "GET", path, "").Artifacts
	for i := range list {
		if time.Since(list[i].ModifiedAt) > time.Hour {
			t.Errorf("%+v", list[i])
		}
		list[i].ModifiedAt = time.Time{}
	}
	want := []httpapi.Artifact{
		{Name: "1/a b/página.html", Attempt: 1, Size: 3, Type: "application/octet-stream"}, {Name: "2/shot.png", Attempt: 2, Size: 12, Type: "image/png", Image: true},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	// They outlast the queue's record, and go with the job.
	b.finish(b.claim("default"))
	if w := b.do("DELETE", "/api/v1/jobs/"+id, ""); w.Code != http.StatusNoContent {
		t.Fatal(w.Code, w.Body)
	}
	ask[httpapi.Problem](b, 404, "GET", path, "")
	b.leave("forgotten", 1, "a", "x")
	if list := ask[httpapi.ArtifactList](b, 200, "GET", "/api/v1/jobs/forgotten/artifacts", ""); len(list.Artifacts) != 1 {
		t.Errorf("%+v", list)
	}
}

func TestAFileOfAJobIsSentAsWhatNoBrowserRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := "a/b"
	for name, text := range map[string]string{
		"shot.png": png, "fake.png": "<script>", "página \"1\".html": "<script>", "x.svg": "<svg onload=alert(1)>", "a\nb.js": "alert(1)", "deep/x.txt": "0123456789", "empty": "",
	} {
		b.leave(id, 1, name, text)
	}
	for name, want := range map[string]struct{ kind, disposition, body string }{
		"1/shot.png":                   {"image/png", "attachment; filename=shot.png", png},
		"1/fake.png":                   {"application/octet-stream", "attachment; filename=fake.png", "<script>"},
		"1/p%C3%A1gina%20%221%22.html": {"application/octet-stream", "attachment; filename*=utf-8''p%C3%A1gina%20%221%22.html", "<script>"},
		"1/x.svg":                      {"application/octet-stream", "attachment; filename=x.svg", "<svg onload=alert(1)>"},
		"1/a%0Ab.js":                   {"application/octet-stream", "attachment; filename*=utf-8''a%0Ab.js", "alert(1)"},
		"1/deep/x.txt":                 {"application/octet-stream", "attachment; filename=x.txt", "0123456789"},
		"1%2Fdeep%2Fx.txt":             {"application/octet-stream", "attachment; filename=x.txt", "0123456789"},
		"1/empty":                      {"application/octet-stream", "attachment; filename=empty", ""},
	} {
		w := b.do("GET", "/api/v1/jobs/a%2Fb/artifacts/"+name, "")
		h := w.Header()
		if w.Code != 200 || h.Get("Content-Type") != want.kind || h.Get("Content-Disposition") != want.disposition || w.Body.String() != want.body {
			t.Errorf("%s: %d %q %q", name, w.Code, h, w.Body)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: %q", name, h)
		}
	}
	const text = "/api/v1/jobs/a%2Fb/artifacts/1/deep/x.txt"
	if w := b.do("GET", text, "", "Range", "bytes=2-4"); w.Code != 206 || w.Body.String() != "234" {
		t.Errorf("a part: %d %q", w.Code, w.Body)
	}
	if p := ask[httpapi.Problem](b, 416, "GET", text, "", "Range", "bytes=99-"); p.Code != "invalid" {
		t.Errorf("%+v", p)
	}
	if w := b.do("HEAD", text, ""); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "10" {
		t.Errorf("HEAD: %d %q", w.Code, w.Header())
	}
	last := b.do("GET", text, "").Header().Get("Last-Modified")
	if w := b.do("GET", text, "", "If-Modified-Since", last); w.Code != http.StatusNotModified {
		t.Errorf("unchanged: %d", w.Code)
	}
	for _, name := range []string{"", "1", "1/", "1/none", "2/shot.png", "..%2F..%2Fqueue.db", "1/..%2F..%2Fx", "%2Fetc%2Fpasswd", "1/deep", "1/deep%00", "1\\shot.png", "1/%ff"} {
		if w := b.do("GET", "/api/v1/jobs/a%2Fb/artifacts/"+name, ""); w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%q: %d %q", name, w.Code, w.Header())
		}
	}
}
