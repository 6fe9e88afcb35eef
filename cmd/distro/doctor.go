package main

import (
	"context"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/python"
)

// finding is what one check of doctor saw.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // seenOK, seenWarning or seenFailure
	Detail string `json:"detail"` // what is the case and, if that is bad, what to do
}

// The statuses of a finding.
const (
	seenOK      = "ok"
	seenWarning = "warning"
	seenFailure = "failed"
)

func fine(check, format string, args ...any) finding {
	return finding{check, seenOK, fmt.Sprintf(format, args...)}
}

func warn(check, format string, args ...any) finding {
	return finding{check, seenWarning, fmt.Sprintf(format, args...)}
}

func fail(check, format string, args ...any) finding {
	return finding{check, seenFailure, fmt.Sprintf(format, args...)}
}

func newDoctor(con *console) *cobra.Command {
	var f settingFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check that `distro up` will work here, and say what to do",
		Long: "Checks the settings, the folder of modules, Python, the data folder, the queue (its database or\n" +
			"its Redis) and the ports. It takes the settings of `distro up`. The exit status is 1 if something is\n" +
			"wrong.",
		Example: "  distro doctor\n  distro doctor --config /etc/distro/config.cfg --json",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			stop := con.spin("checking")
			findings := f.examine(cmd, con)
			stop()
			return con.printFindings(findings, asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (f *settingFlags) examine(cmd *cobra.Command, con *console) []finding {
	cfg, err := f.load(cmd, con)
	if err != nil {
		return []finding{fail("settings", "%v", err)}
	}
	findings := checkSettings(cmd.Context(), cfg)
	findings = append(findings, checkModules(cfg))
	findings = append(findings, checkPython(cmd.Context(), con, cfg)...)
	findings = append(findings, checkDataDir(cfg.DataDir)...)
	if cfg.RedisURL != "" {
		findings = append(findings, checkRedis(cmd.Context(), cfg)...)
	} else {
		findings = append(findings, checkDatabase(cmd.Context(), filepath.Join(cfg.DataDir, "queue.db")))
	}
	if cfg.PostgreURL != "" {
		findings = append(findings, checkHistory(cmd.Context(), cfg.PostgreURL))
	} else {
		findings = append(findings, checkDatabase(cmd.Context(), filepath.Join(cfg.DataDir, "history.db")))
	}
	return append(findings, checkPort(cmd.Context(), "listen", cfg.Listen), checkPort(cmd.Context(), "dashboard_listen", cfg.DashboardListen))
}

func checkSettings(ctx context.Context, cfg config.Config) []finding {
	list := []finding{fine("settings", "%s", cfg.File)}
	if cfg.File == "" {
		list[0].Detail = "no config.cfg here: defaults, variables and flags apply"
	}
	warnings, err := cfg.CheckListeners()
	if err != nil {
		return append(list, fail("access", "%v", err))
	}
	for _, warning := range warnings {
		list = append(list, warn("access", "%s", warning))
	}
	if line := app.ForgottenRedis(ctx, cfg, app.LocalRedis); line != "" {
		list = append(list, warn("redis", "%s", line))
	}
	return list
}

func checkModules(cfg config.Config) finding {
	const check = "modules_path"
	if err := cfg.CheckModules(); err != nil {
		return fail(check, "%v", err)
	}
	entries, err := os.ReadDir(cfg.ModulesPath)
	if err != nil {
		return fail(check, "%v: let this user read it", err)
	}
	for _, entry := range entries {
		if entry.IsDir() || strings.HasSuffix(entry.Name(), ".py") {
			return fine(check, "%s", cfg.ModulesPath)
		}
	}
	return warn(check, "%s holds no .py file yet: put some there", cfg.ModulesPath)
}

func checkPython(ctx context.Context, con *console, cfg config.Config) []finding {
	found, err := python.FindInterpreter(ctx, python.InterpreterOptions{
		Setting: cfg.Python, ModulesDir: cfg.ModulesPath, VirtualEnv: con.getenv("VIRTUAL_ENV"),
	})
	if err != nil {
		return []finding{fail("python", "%v", err)}
	}
	return append([]finding{fine("python", "%s (%s)", found.Path, found.Version)}, checkEnvironment(ctx, con, cfg, found)...)
}

// checkEnvironment tells whether jobs get what requirements.txt asks for.
func checkEnvironment(ctx context.Context, con *console, cfg config.Config, base python.Interpreter) []finding {
	const check = "environment"
	state, err := python.InspectEnvironment(ctx, base, cfg.ModulesPath, app.EnvironmentsDir(cfg), con.environ)
	switch {
	case base.Virtual:
		return []finding{fine(check, "jobs run in the virtual environment of %s", base.Path)}
	case cfg.Environments && err != nil:
		return []finding{fail(check, "%v", err)}
	case !state.Wanted:
		return nil
	case !cfg.Environments:
		return []finding{fine(check, "requirements.txt is not installed by distro: environments = on would, where %s misses something", base.Path)}
	case state.Ready:
		return []finding{fine(check, "%s", state.Python)}
	case state.Failed != "" && state.Python != "":
		return []finding{warn(check, "an earlier one serves (%s): %s; the log is %s", state.Python, state.Failed, state.Log)}
	case state.Failed != "":
		return []finding{warn(check, "jobs run without the packages of requirements.txt: %s; the log is %s", state.Failed, state.Log)}
	}
	return []finding{fine(check, "`distro up` prepares it from requirements.txt with %s", state.Tool)}
}

// Free space below which doctor warns, and below which it fails.
const (
	littleSpace   = 1 << 30
	tooLittle     = 64 << 20
	healthTimeout = 3 * time.Second
)

// checkDataDir looks at the folder, or at the one it will be made in. It
// leaves nothing behind.
func checkDataDir(dir string) []finding {
	const check = "data_dir"
	at, made := dir, true
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return []finding{fail(check, "%s is not a folder: set another data_dir", at)}
		}
		if err == nil {
			break
		}
		parent := filepath.Dir(at)
		if !os.IsNotExist(err) || parent == at {
			return []finding{fail(check, "%v: set another data_dir", err)}
		}
		at, made = parent, false
	}
	probe, err := os.CreateTemp(at, ".distro-doctor-*")
	if err != nil {
		return []finding{fail(check, "%s cannot be written: give this user the right, or set another data_dir", at)}
	}
	probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return []finding{fail(check, "%v", err)}
	}
	text := dir
	if !made {
		text += " (will be made)"
	}
	return append([]finding{fine(check, "%s", text)}, checkDisk(at)...)
}

func checkDisk(dir string) []finding {
	d, err := readDisk(dir)
	if err != nil {
		return []finding{warn("disk", "%v", err)}
	}
	return judgeDisk(d)
}

func judgeDisk(d disk) []finding {
	var list []finding
	switch {
	case !d.known:
	case d.free < tooLittle:
		list = append(list, fail("disk", "%s are free: make room, or set another data_dir", bytesText(d.free)))
	case d.free < littleSpace:
		list = append(list, warn("disk", "%s are free: make room soon", bytesText(d.free)))
	default:
		list = append(list, fine("disk", "%s are free", bytesText(d.free)))
	}
	if d.trouble != "" {
		list = append(list, warn("disk", "%s", d.trouble))
	}
	return list
}

// disk is what is known of a file system.
type disk struct {
	known   bool
	free    int64  // bytes this user may still write
	trouble string // why its kind does not suit a database; may be empty
}

// checkPort tells whether an address is free, and if not, whether Distro has
// it.
func checkPort(ctx context.Context, check, address string) finding {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		_ = listener.Close() // nothing was accepted
		return fine(check, "%s is free", address)
	}
	if distroAnswers(ctx, address) {
		return fine(check, "%s is held by a running distro", address)
	}
	return fail(check, "%s cannot be listened on (%s): end what holds it, or set another %s", address, cause(err), check)
}

func distroAnswers(ctx context.Context, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return false
	}
	reply, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	defer reply.Body.Close()
	var health struct{ Status string }
	err = json.NewDecoder(io.LimitReader(reply.Body, 1<<10)).Decode(&health)
	return err == nil && reply.StatusCode == http.StatusOK && health.Status == "ok"
}

func (con *console) printFindings(findings []finding, asJSON bool) error {
	failed := 0
	marks := map[string]string{seenOK: "✓", seenWarning: "!", seenFailure: "✗"}
	colors := map[string]color.Color{seenOK: lipgloss.Green, seenWarning: lipgloss.Yellow, seenFailure: lipgloss.Red}
	for _, f := range findings {
		if f.Status == seenFailure {
			failed++
		}
		if !asJSON {
			fmt.Fprintf(con.out, "%s %-16s %s\n", con.paint(marks[f.Status], colors[f.Status]), f.Check, clean(f.Detail))
		}
	}
	if asJSON {
		raw, err := json.Marshal(findings)
		if err != nil {
			return fmt.Errorf("encode findings: %w", err)
		}
		con.printJSON(raw)
	}
	if failed == 0 {
		return nil
	}
	if asJSON {
		return errReported
	}
	return fmt.Errorf("%s failed: do what the lines marked ✗ say", count(failed, "check"))
}
