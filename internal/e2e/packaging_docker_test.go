package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is the folder of the repository, as seen by these tests.
const root = "../.."

// image is what Docker's own libraries make of Dockerfile, .dockerignore and
// docker-compose.yml.
type image struct {
	Files    []string // sent to a build
	Services map[string]composed
}

// composed is a service of docker-compose.yml.
type composed struct {
	Image       string
	User        string
	Restart     string
	Command     []string
	Entrypoint  []string
	Environment map[string]string
	Networks    map[string]any
	NetworkMode string `json:"network_mode"`
	CapDrop     []string
	ReadOnly    bool `json:"read_only"`
	Healthcheck struct {
		Test    []string
		Disable bool
	}
	DependsOn map[string]struct{ Condition string } `json:"depends_on"`
	Ports     []struct {
		HostIP    string `json:"host_ip"`
		Published string
		Target    int
	}
	Volumes []struct {
		Type, Source, Target string
		ReadOnly             bool `json:"read_only"`
	}
}

// readImage reads the files with the module in testdata/packaging, which has the
// versions and hashes of those libraries.
func readImage(t *testing.T, variables ...string) image {
	t.Helper()
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", ".", folder}, variables...)...)
	cmd.Dir = "testdata/packaging"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil || strings.Contains(problems.String(), "Dockerfile:") {
		t.Fatalf("%v\n%s", err, problems.String())
	}
	var read image
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestDockerUnderstandsTheServices(t *testing.T) {
	t.Parallel()
	read := readImage(t)
	services := read.Services
	published, after, reads := map[string]string{}, map[string]string{}, map[string][]string{}
	for name, s := range services {
		for _, port := range s.Ports {
			published[name+" "+port.Published] = port.HostIP
		}
		for other, on := range s.DependsOn {
			after[name+" after "+other] = strings.TrimPrefix(on.Condition, "service_")
		}
		for _, v := range s.Volumes {
			if strings.HasPrefix(v.Source, "keys-") {
				reads[v.Source] = append(reads[v.Source], name)
				if v.ReadOnly == (name == "setup") {
					t.Errorf("%s: %s is read-only: %v", name, v.Source, v.ReadOnly)
				}
			}
		}
		if own := s.Image == "distro:local"; own && !slices.Equal(s.CapDrop, []string{"ALL"}) && s.CapDrop != nil {
			t.Errorf("%s keeps capabilities: %q", name, s.CapDrop)
		}
		if (s.Restart == "unless-stopped") == (name == "setup") {
			t.Errorf("%s: restart %q", name, s.Restart)
		}
	}
	want := map[string]string{"redis 6379": "127.0.0.1", "orchestrator 7000": "127.0.0.1", "orchestrator 9181": "127.0.0.1"}
	if diff := cmp.Diff(want, published); diff != "" {
		t.Errorf("published ports (-want +got):\n%s", diff)
	}
	want = map[string]string{
		"redis after setup": "completed_successfully", "postgres after setup": "completed_successfully",
		"orchestrator after setup": "completed_successfully", "orchestrator after redis": "healthy", "orchestrator after postgres": "healthy",
		"worker after setup": "completed_successfully", "worker after redis": "healthy", "worker after orchestrator": "healthy",
	}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("order of the start (-want +got):\n%s", diff)
	}
	for volume, by := range reads {
		slices.Sort(by)
		if owner := strings.TrimPrefix(volume, "keys-"); !slices.Contains(by, owner) || len(by) != 2 || !slices.Contains(by, "setup") {
			t.Errorf("%s is seen by %q", volume, by)
		}
	}
	if shared := services["worker"].Networks; len(shared) != 1 || services["postgres"].Networks["queue"] != nil || services["setup"].NetworkMode != "none" {
		t.Errorf("jobs reach more than Redis and the API: %v", shared)
	}
	open := readImage(t, "DISTRO_BIND=10.0.0.5").Services
	if got := open["redis"].Ports[0].HostIP; got != "10.0.0.5" {
		t.Errorf("with DISTRO_BIND Redis is published on %s", got)
	}
}

func TestAnImageIsMadeOfSourcesOnly(t *testing.T) {
	t.Parallel()
	read := readImage(t)
	allowed := regexp.MustCompile(`^(\.git($|/)|\.gitignore$|Makefile$|go\.(mod|sum)$|[a-z_]+\.go$|(cmd|internal|packaging|web)/)`)
	for _, file := range read.Files {
		if !allowed.MatchString(file) || strings.HasPrefix(file, ".git/config") || strings.Contains(file, "node_modules") {
			t.Errorf("%s is sent to the build", file)
		}
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}`, "./...")
	list.Dir = root
	text, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(text)) {
		file, err := filepath.Rel(folder, path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(read.Files, file) && !strings.HasPrefix(file, "web/dist/") {
			t.Errorf("%s is missing in the build", file)
		}
	}
}

// script runs a script of the repository with sh.
func script(t *testing.T, environ []string, name string, args ...string) (out, errOut string, err error) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{path}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
	cmd.Dir = t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// makeKeys runs the script of the service setup.
func makeKeys(t *testing.T) string {
	t.Helper()
	keys := t.TempDir()
	if out, errOut, err := script(t, nil, "packaging/docker/setup.sh", keys); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errOut)
	}
	return keys
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestSetupMakesSecretsOnceAndGivesEachServiceItsOwn(t *testing.T) {
	t.Parallel()
	keys := makeKeys(t)
	all := func() map[string]string {
		files := map[string]string{}
		paths, err := filepath.Glob(keys + "/*/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			files[strings.TrimPrefix(path, keys+"/")] = read(t, path)
		}
		return files
	}
	first := all()
	redis, postgres, token := first["redis/password"], first["postgres/password"], first["orchestrator/auth_token"]
	want := map[string]string{
		"redis/password": redis, "postgres/password": postgres, "orchestrator/auth_token": token,
		"redis/redis.conf":         "requirepass " + redis + "\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction",
		"orchestrator/redis_url":   "redis://:" + redis + "@redis:6379/1",
		"worker/redis_url":         "redis://:" + redis + "@redis:6379/1",
		"orchestrator/postgre_url": "postgres://distro:" + postgres + "@postgres:5432/distro",
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	hex := regexp.MustCompile(`^[0-9a-f]{64}$`)
	if !hex.MatchString(redis) || !hex.MatchString(postgres) || !hex.MatchString(token) || redis == postgres || redis == token {
		t.Errorf("secrets %q", []string{redis, postgres, token})
	}
	out, errOut, err := script(t, nil, "packaging/docker/setup.sh", keys)
	if diff := cmp.Diff(first, all()); diff != "" || err != nil {
		t.Errorf("again: %v, files (-first +second):\n%s", err, diff)
	}
	for _, secret := range []string{redis, postgres, token} {
		if strings.Contains(out+errOut, secret) {
			t.Errorf("the log tells a secret: %s%s", out, errOut)
		}
	}

	// One that somebody chose is taken, unless it would not fit into a URL.
	for text, fits := range map[string]bool{"My_own-1": true, "p@ss": false, "two\nlines": false} {
		path := filepath.Join(keys, "redis", "password")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, errOut, err := script(t, nil, "packaging/docker/setup.sh", keys)
		if got := read(t, keys, "worker", "redis_url"); (err == nil) != fits || strings.Contains(got, text) != fits || strings.Contains(errOut, text) {
			t.Errorf("password %q: %v, %s, %s", text, err, errOut, got)
		}
	}
}

// fakeDocker is a docker that writes down how it was called, and answers as the
// services would: the orchestrator is ready the third time it is asked.
const fakeDocker = `#!/bin/sh
printf '%s\n' "$*" >>"$CALLS"
case $* in
*healthy.py) [ "$(grep -c healthy.py "$CALLS")" -ge 3 ] ;;
'compose up '*) [ -z "${BROKEN-}" ] ;;
'compose port redis 6379') echo "$REDIS_AT" ;;
'compose port orchestrator '*) echo "127.0.0.1:$4" ;;
*paste.sh*) shift 6; exec sh "$PASTE" "$@" ;;
esac
`

func TestStartPrintsWhatToPasteWhenTheServicesAreHealthy(t *testing.T) {
	t.Parallel()
	keys, dir := makeKeys(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(fakeDocker), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sleep"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	paste, err := filepath.Abs(filepath.Join(root, "packaging/docker/paste.sh"))
	if err != nil {
		t.Fatal(err)
	}
	calls := filepath.Join(dir, "calls")
	environ := []string{
		"PATH=" + dir + ":" + os.Getenv("PATH"), "CALLS=" + calls, "PASTE=" + paste, "REDIS_AT=127.0.0.1:6379",
		"DISTRO_AUTH_TOKEN_FILE=" + keys + "/orchestrator/auth_token", "DISTRO_REDIS_URL_FILE=" + keys + "/orchestrator/redis_url",
	}
	out, errOut, err := script(t, environ, "start_distro.sh", "--no-color")
	if err != nil || errOut != "" {
		t.Fatalf("%v\n%s%s", err, out, errOut)
	}
	url := "redis://:" + read(t, keys, "redis", "password") + "@127.0.0.1:6379/1"
	for _, line := range []string{
		"  Painel / Dashboard   http://127.0.0.1:9181",
		"  rq worker --with-scheduler --url " + url + " low default",
		"  distro worker --with-scheduler --url " + url + " low default",
		`  curl -H "Authorization: Bearer ` + read(t, keys, "orchestrator", "auth_token") + `" http://127.0.0.1:7000/scheduler/modules`,
	} {
		if !slices.Contains(strings.Split(out, "\n"), line) {
			t.Errorf("%q is missing in:\n%s", line, out)
		}
	}
	hostname, err := exec.CommandContext(t.Context(), "uname", "-n").Output()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSpace(string(hostname))
	const ask = "compose exec -T orchestrator python3 /usr/lib/distro/healthy.py\n"
	want := "compose version\ncompose up --detach --build --no-color\n" + ask + ask + ask +
		"compose port redis 6379\ncompose port orchestrator 7000\ncompose port orchestrator 9181\n" +
		"compose exec -T orchestrator sh /usr/lib/distro/paste.sh " + name + " 127.0.0.1:6379 127.0.0.1:7000 127.0.0.1:9181\n"
	if diff := cmp.Diff(strings.TrimSpace(want), read(t, calls)); diff != "" {
		t.Errorf("calls of docker (-want +got):\n%s", diff)
	}

	out, _, err = script(t, append(environ, "REDIS_AT=0.0.0.0:6379"), "start_distro.sh")
	if !strings.Contains(out, "@"+name+":6379/1 low default") || err != nil {
		t.Errorf("published on all addresses: %v\n%s", err, out)
	}
	_, errOut, err = script(t, append(environ, "BROKEN=1"), "start_distro.sh")
	if err == nil || errOut != "start_distro: a service did not start: docker compose logs SERVICE tells why\n" {
		t.Errorf("a service that does not start: %v, %s", err, errOut)
	}
}

// TestTheStartScriptOfWindowsDoesTheSame compares what both ask of docker.
func TestTheStartScriptOfWindowsDoesTheSame(t *testing.T) {
	t.Parallel()
	asked := func(text string) []string {
		var calls []string
		for _, call := range regexp.MustCompile(`(?m)docker compose [a-z][^|'")\r\n]*`).FindAllString(text, -1) {
			if call = strings.TrimSpace(regexp.MustCompile(`[0-9]?>.*|%\*`).ReplaceAllString(call, "")); !strings.Contains(call, "logs") && !strings.Contains(call, " is ") {
				calls = append(calls, strings.TrimSuffix(call, " up"))
			}
		}
		slices.Sort(calls)
		return slices.Compact(calls)
	}
	windows := read(t, root, "start_distro.bat")
	if diff := cmp.Diff(asked(read(t, root, "start_distro.sh")), asked(windows)); diff != "" {
		t.Errorf("calls of docker (-sh +bat):\n%s", diff)
	}
	if strings.Count(windows, "\n") != strings.Count(windows, "\r\n") || strings.ContainsFunc(windows, func(r rune) bool { return r > '~' }) {
		t.Error("start_distro.bat has other line ends than CRLF, or other characters than ASCII")
	}
	if attributes := read(t, root, ".gitattributes"); !strings.Contains(attributes, "*.bat text eol=crlf") {
		t.Errorf("git would change its line ends: %s", attributes)
	}
}
