// Package config knows every setting of Distro by name: one table makes the
// reading of config.cfg, of DISTRO_… variables and of flags, the help texts
// and docs/configuration.md.
package config

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Values of Config.Auth.
const (
	AuthToken = "token"
	AuthNone  = "none"
)

// maxWorkers bounds Config.Workers.
const maxWorkers = 1000

// Config is what the settings amount to. Paths are absolute or empty. Printing
// or logging a Config hides the values of secret settings.
type Config struct {
	ModulesPath   string // empty: not set, see CheckModules
	TaskRetries   int
	RetryInterval time.Duration
	Queues        []string // highest priority first, at least one

	PostgreURL    string // empty: SQLite in DataDir
	RedisURL      string // empty: embedded queue in DataDir
	DataDir       string
	Retention     time.Duration // 0: no limit
	RetentionRows int           // attempts in history; 0: no limit
	RetentionSize int64         // bytes of history; 0: no limit
	OutputSize    int64         // bytes of the output of all jobs; 0: no limit

	Workers      int    // slots of this process; 0: none
	Isolation    string // fork, pool or spawn
	Python       string // "auto", a name on PATH, or an absolute path
	Environments bool   // prepare one from requirements.txt of ModulesPath
	KillGrace    time.Duration
	DrainTimeout time.Duration // 0: until the jobs end

	JobTimeout   time.Duration // of one attempt; distro.Forever: none
	ResultTTL    time.Duration // 0: not kept; distro.Forever: always
	JobMemory    int64         // bytes; 0: no limit
	MaxOutput    int64         // bytes of a job
	MaxArtifacts int64         // bytes of files of an attempt; 0: no limit
	MaxBody      int64         // bytes of a request
	MaxUpload    int64         // bytes of the files of a form; 0: none are taken

	Listen          string // HOST:PORT
	DashboardListen string // HOST:PORT
	Hosts           []string
	TLSCert, TLSKey string // both set or both empty
	Auth            string // AuthToken or AuthNone
	AuthToken       string // empty: none
	AuthTokenRead   string // empty: none; else differs from AuthToken, which is set
	Timezone        *time.Location

	WebhookURL          string // empty: none
	WebhookSecret       string // empty: requests are not signed
	WebhookAllowPrivate bool
	AlertQueueAge       time.Duration // 0: off

	File string // absolute path of the settings file; empty: none was read

	origins map[string]string
}

// Origin says where the setting's value comes from: "config.cfg:7",
// "DISTRO_WORKERS", "--workers" or "default".
func (c Config) Origin(name string) string {
	if origin, ok := c.origins[name]; ok {
		return origin
	}
	return "default"
}

// CheckModules returns an error that says what to do unless ModulesPath is a
// folder.
func (c Config) CheckModules() error {
	if c.ModulesPath == "" {
		return invalid("modules_path is not set: write modules_path = FOLDER into config.cfg, or pass --modules FOLDER")
	}
	info, err := os.Stat(c.ModulesPath)
	switch {
	case os.IsNotExist(err):
		return invalid("%s: modules_path: the folder %s does not exist: create it or name another", c.Origin("modules_path"), c.ModulesPath)
	case err != nil:
		return invalid("%s: modules_path: %v", c.Origin("modules_path"), err)
	case !info.IsDir():
		return invalid("%s: modules_path: %s is not a folder", c.Origin("modules_path"), c.ModulesPath)
	}
	return nil
}

// CheckListeners refuses a listener that other machines reach and nothing
// guards. The warnings name what was opened on purpose.
func (c Config) CheckListeners() (warnings []string, err error) {
	if c.Auth == AuthNone && c.AuthToken != "" {
		warnings = append(warnings, "auth = none: auth_token is not asked for")
	}
	for _, listener := range []struct{ name, address string }{
		{"listen", c.Listen}, {"dashboard_listen", c.DashboardListen},
	} {
		switch {
		case loopback(listener.address):
		case c.Auth == AuthNone:
			warnings = append(warnings, fmt.Sprintf(
				"auth = none: whoever reaches %s (%s) may run code on this machine", listener.address, listener.name))
		case c.AuthToken == "":
			return nil, invalid("%s: %s: %s is reachable by other machines, so it needs a token: set auth_token (%d characters or more) "+
				"in config.cfg or DISTRO_AUTH_TOKEN, or listen on 127.0.0.1 (auth = none lets everyone in)",
				c.Origin(listener.name), listener.name, listener.address, minToken)
		}
	}
	return warnings, nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// check looks at settings that depend on each other.
func (c Config) check() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return invalid("tls_cert and tls_key go together: set both or none")
	}
	if err := c.checkTokens(); err != nil {
		return err
	}
	if c.AlertQueueAge > 0 && c.WebhookURL == "" {
		return invalid("%s: alert_queue_age tells webhook_url, which is not set: set it too, or remove this one", c.Origin("alert_queue_age"))
	}
	if c.OutputSize > 0 && c.OutputSize < c.MaxOutput {
		return invalid("%s: output_size: %d bytes for all jobs are less than the %d that max_output gives to one: raise it, or lower max_output",
			c.Origin("output_size"), c.OutputSize, c.MaxOutput)
	}
	_, port, err := net.SplitHostPort(c.Listen)
	if err == nil && c.Listen == c.DashboardListen && port != "0" {
		return invalid("%s: dashboard_listen: %s is the address of listen already: choose another port",
			c.Origin("dashboard_listen"), c.DashboardListen)
	}
	return nil
}

// checkTokens refuses a token of readers that guards nothing, or is no other.
func (c Config) checkTokens() error {
	switch {
	case c.AuthTokenRead == "":
		return nil
	case c.AuthToken == "":
		return invalid("%s: auth_token_read lets others read only where auth_token is asked of those who change something: set auth_token too, or remove this one",
			c.Origin("auth_token_read"))
	case c.AuthTokenRead == c.AuthToken:
		return invalid("%s: auth_token_read is auth_token, so whoever has it may change everything: choose another", c.Origin("auth_token_read"))
	}
	return nil
}

// LogValue hides secrets in logs.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, s := range Settings() {
		attrs = append(attrs, slog.String(s.Name, s.shown(c)))
	}
	return slog.GroupValue(attrs...)
}

// String lists the settings, with secrets hidden.
func (c Config) String() string {
	var b strings.Builder
	for i, s := range Settings() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%q", s.Name, s.shown(c))
	}
	return b.String()
}

// GoString is String, so that no verb of package fmt shows a secret.
func (c Config) GoString() string { return c.String() }

// shown is the setting's value for people.
func (s Setting) shown(c Config) string {
	text := s.value.show(&c)
	if s.Secret && text != "" {
		return "(hidden)"
	}
	return text
}

// invalid is an error in what the user wrote. Its text is whole: it names the
// place, the setting and what to do.
func invalid(format string, args ...any) error {
	return distro.Errorf(distro.CodeInvalid, format, args...)
}
