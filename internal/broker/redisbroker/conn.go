package redisbroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro/internal/broker"
)

const (
	dialTimeout = 1500 * time.Millisecond
	// silence is how long a connection that owes answers may say nothing until
	// it is given up. Calls give up earlier.
	silence = 5 * time.Second
	// bufferSize is that of each connection and direction: there is a
	// connection for each queue that is waited for.
	bufferSize = 64 << 10
	// failoverCheck is how often the Sentinels are asked for the master beside
	// the news that they send.
	failoverCheck = 5 * time.Second
)

// connect connects to the Redis that opts name, and refuses one that RQ cannot
// work on.
func connect(ctx context.Context, opts Options) (rueidis.Client, *target, error) {
	t, err := parseTarget(opts.URL)
	if err != nil {
		return nil, nil, err
	}
	client, err := rueidis.NewClient(t.clientOption())
	if err != nil {
		return nil, nil, fmt.Errorf("connect to Redis %s: %w", t, t.redact(advise(unavailable(err))))
	}
	if err := t.examine(ctx, client, opts.Timeout); err != nil {
		client.Close()
		return nil, nil, fmt.Errorf("connect to Redis %s: %w", t, t.redact(advise(err)))
	}
	return client, t, nil
}

// advise says what to do about what a server refuses.
func advise(err error) error {
	for _, known := range []struct{ code, advice string }{
		{"NOAUTH", "it wants a password: write it into the URL, as redis://:PASSWORD@HOST:PORT/DB"},
		{"WRONGPASS", "it does not take this user name and password: correct them in the URL, redis://USER:PASSWORD@HOST:PORT/DB"},
		{"invalid password", "it does not take this password: correct it in the URL"},
		{"DB index is out of range", "it has no database of this number: choose a lower one, or raise databases in redis.conf"},
	} {
		if err != nil && strings.Contains(err.Error(), known.code) {
			return fmt.Errorf("%s (%w)", known.advice, err)
		}
	}
	return err
}

func (t *target) clientOption() rueidis.ClientOption {
	option := rueidis.ClientOption{
		InitAddress: t.addresses,
		Username:    t.username, Password: t.password, SelectDB: t.db, ClientName: "distro",
		TLSConfig: t.tls, Dialer: net.Dialer{Timeout: dialTimeout}, ConnWriteTimeout: silence,
		ReadBufferEachConn: bufferSize, WriteBufferEachConn: bufferSize,
		// A command whose reply is lost is not repeated: its caller knows
		// whether it may be.
		DisableRetry: true,
		DisableCache: true,
		// Without it the client looks for a cluster, and panics later on
		// commands with keys of several slots.
		ForceSingleClient: t.master == "",
	}
	if t.network == "unix" {
		option.DialCtxFn = func(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		}
	}
	if t.master != "" {
		option.Sentinel = rueidis.SentinelOption{
			MasterSet: t.master, Username: t.sentinelUsername, Password: t.sentinelPassword,
			TLSConfig: t.tls, Dialer: net.Dialer{Timeout: dialTimeout}, TopologyRefreshInterval: failoverCheck,
		}
	}
	return option
}

// examine learns about the server.
func (t *target) examine(ctx context.Context, client rueidis.Client, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := client.B()
	answers := client.DoMulti(ctx,
		c.Info().Section("server").Build(), c.Info().Section("cluster").Build(), c.ClientInfo().Build())
	var texts [3]string
	for i, answer := range answers {
		text, err := answer.ToString()
		// An account that may not ask has to do without the answers.
		if _, refused := rueidis.IsRedisErr(err); err != nil && (!refused || isUnavailable(err.Error())) {
			return unavailable(err)
		}
		texts[i] = text
	}
	if strings.Contains(texts[1], "cluster_enabled:1") {
		return errCluster
	}
	if v := infoFields(texts[0])["redis_version"]; v != "" {
		t.version = parseServerVersion(v)
		if !t.version.atLeast(5, 0) {
			return fmt.Errorf("Redis %.20s is too old: Distro keeps results in streams, which need 5.0 or later", v)
		}
	}
	t.address = "unknown" // as RQ writes where it is refused
	for field := range strings.FieldsSeq(texts[2]) {
		if address, ok := strings.CutPrefix(field, "addr="); ok {
			t.address = address
		}
	}
	t.current = func() string {
		for address := range client.Nodes() {
			return address
		}
		return ""
	}
	return nil
}

// redact keeps passwords out of errors: some servers repeat what they do not
// understand.
func (t *target) redact(err error) error {
	text := err.Error()
	for _, secret := range []string{t.password, t.sentinelPassword} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	if text == err.Error() {
		return err
	}
	if errors.Is(err, broker.ErrUnavailable) {
		return fmt.Errorf("%w: %s", broker.ErrUnavailable, strings.TrimPrefix(text, broker.ErrUnavailable.Error()+": "))
	}
	return errors.New(text)
}

// serverVersion is a version of Redis; zero where the server does not tell.
type serverVersion struct{ major, minor int }

func parseServerVersion(s string) serverVersion {
	parts := strings.SplitN(s, ".", 3)
	var v serverVersion
	v.major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		v.minor, _ = strconv.Atoi(parts[1])
	}
	return v
}

func (v serverVersion) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

// infoFields reads the answer to INFO.
func infoFields(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// unavailable says what an error of the client means: broker.ErrUnavailable
// where Redis cannot be reached, or reached and cannot serve now;
// broker.ErrFull where it has no room. What else the server answers, and that
// the caller gave up, stays as it is.
func unavailable(err error) error {
	switch {
	case err == nil, rueidis.IsRedisNil(err), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, rueidis.ErrClosing):
		return fmt.Errorf("%w: %w", broker.ErrClosed, err)
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, broker.ErrFull), rueidis.IsParseErr(err):
		return err
	}
	if server, ok := rueidis.IsRedisErr(err); ok {
		switch text := server.Error(); {
		case hasCode(text, "OOM"):
			return fmt.Errorf("%w: %w", broker.ErrFull, err)
		case !isUnavailable(text):
			return err
		}
	}
	return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
}

// isUnavailable reports whether a server's error says that it cannot serve for
// a while.
func isUnavailable(text string) bool {
	for _, code := range []string{"LOADING", "READONLY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "UNBLOCKED"} {
		if hasCode(text, code) {
			return true
		}
	}
	return strings.Contains(text, "max number of clients")
}

// hasCode reports whether a server's error has a code. Before Redis 7 the
// errors of commands in a script stand within that of the script.
func hasCode(text, code string) bool {
	return strings.HasPrefix(text, code+" ") || strings.HasPrefix(text, "Error running script") && strings.Contains(text, "-"+code+" ")
}
