package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const readingModule = `
import hashlib
from pathlib import Path

def read(file: Path, data: bytes, times: int = 1):
    assert isinstance(file, Path) and isinstance(data, bytes), (file, data)
    return [file.name, hashlib.sha256(file.read_bytes()).hexdigest(), hashlib.sha256(data).hexdigest(), str(file)]
`

// sendForm sends a form with files as a browser without scripts does.
func (s *server) sendForm(path string, files map[string][2]string, fields map[string]string) *http.Response {
	s.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := w.WriteField(name, value); err != nil {
			s.t.Fatal(err)
		}
	}
	for name, file := range files {
		part, err := w.CreateFormFile("file:"+name, file[0])
		if err == nil {
			_, err = io.WriteString(part, file[1])
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.pages+path, &body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", w.FormDataContentType())
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func TestAJobReadsFilesThatAFormSent(t *testing.T) {
	t.Parallel()
	up := newServer(t, "max_upload = 6M\n", map[string]string{"reading.py": readingModule}).start()
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	file, data := strings.Repeat("linha de um relatório\r\n", 1<<18), "\x00\x01\xff\r\nlogo"
	response := up.sendForm("/automations/reading/read", map[string][2]string{
		"kw.file": {`..\..\relatório.csv`, file[:5<<20]}, "kw.data": {"logo.png", data},
	}, map[string]string{"kw.times": "not a number"})
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	ref := regexp.MustCompile(`name="ref:kw.file" value="([0-9a-f]{32})" checked`).FindSubmatch(page)
	if response.StatusCode != http.StatusUnprocessableEntity || ref == nil || !bytes.Contains(page, []byte("logo.png")) {
		t.Fatalf("answered %d:\n%.3000s", response.StatusCode, page)
	}
	// The file came with the form that was wrong; only its reference comes again.
	response = up.sendForm("/automations/reading/read", map[string][2]string{"kw.data": {"logo.png", data}}, map[string]string{
		"kw.times": "2", "ref:kw.file": string(ref[1]),
	})
	if response.StatusCode != http.StatusSeeOther {
		t.Fatalf("answered %d", response.StatusCode)
	}
	job := up.ended(strings.TrimPrefix(response.Header.Get("Location"), "/jobs/"))
	path := filepath.Join(up.dir, ".distro", "uploads", string(ref[1]), "relatório.csv")
	want, err := json.Marshal([]string{"relatório.csv", hash(file[:5<<20]), hash(data), path})
	if err != nil {
		t.Fatal(err)
	}
	if job.Status != "finished" || job.Result == nil || fmt.Sprint(job.Result.Value) == "" {
		t.Fatalf("%s: %+v, %+v", job.Status, job.Result, job.Failure)
	}
	var got, wanted []string
	if json.Unmarshal([]byte(job.Result.Value), &got) != nil || json.Unmarshal(want, &wanted) != nil || strings.Join(got, "\n") != strings.Join(wanted, "\n") {
		t.Errorf("got %s, want %s", job.Result.Value, want)
	}
	response = up.sendForm("/automations/reading/read", map[string][2]string{"kw.file": {"big", file + file}, "kw.data": {"x", "x"}}, nil)
	if page, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusUnprocessableEntity || !bytes.Contains(page, []byte("6")) {
		t.Errorf("too large: answered %d, %v", response.StatusCode, err)
	}
	up.stop()
	if list, err := os.ReadDir(filepath.Join(up.dir, ".distro", "uploads")); err != nil || len(list) != 1 {
		t.Errorf("%d uploads are kept, %v", len(list), err)
	}
}
