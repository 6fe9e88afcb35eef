package e2e_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestToolsOfOthersUnderstandTheDescription takes /openapi.json to a validator
// of OpenAPI 3.1 and to a generator, and drives the server with the client that
// the generator wrote. Their versions and hashes are those of the module in
// testdata/openapi.
func TestToolsOfOthersUnderstandTheDescription(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef0123"
	s := newServer(t, "auth_token = "+token+"\n", map[string]string{"sums.py": `
def add(a: int, b: int = 1) -> int:
    print(a, b)
    return a + b

def hello():
    pass
`}).start()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/openapi")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "client"), 0o700); err != nil {
		t.Fatal(err)
	}
	tool := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, text)
		}
		return string(text)
	}
	spec := filepath.Join(dir, "openapi.json")
	if err := os.WriteFile(spec, s.description(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := tool("run", "./validate", spec); got != "valid 3.1.0 true\n" {
		t.Errorf("the validator says: %s", got)
	}
	tool("tool", "oapi-codegen", "-config", "client.yaml", spec)
	client, err := os.ReadFile(filepath.Join(dir, "client", "client.go"))
	if err != nil {
		t.Fatal(err)
	}
	if untyped := regexp.MustCompile(`(?m)^\s+\w*JSON\w+ +\*?(interface\{\}|any|map\[string\]interface\{\})$`).FindAllString(string(client), -1); untyped != nil {
		t.Errorf("answers without a type: %q", untyped)
	}
	want := `job generated-1 finished 7
task enqueued on default queue.
execution of generated-1
invalid kwargs.a
refused without a token
`
	if got := tool("run", "./use", s.url, token); got != want {
		t.Errorf("the generated client says:\n%s", got)
	}
}

// description is /openapi.json.
func (s *server) description(token string) []byte {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodGet, s.url+"/openapi.json", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s %v", response.Status, text, err)
	}
	return text
}
