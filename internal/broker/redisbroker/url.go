package redisbroker

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// target is a Redis as a URL names it. No error and no String of it tells a
// password, or a part of a URL that may be one.
type target struct {
	network   string   // tcp or unix
	addresses []string // host:port, or the path of a socket; of Sentinels where master is set
	master    string   // name of the master that the Sentinels watch
	db        int

	username, password                 string
	sentinelUsername, sentinelPassword string

	tls      *tls.Config // nil: none
	tlsQuery url.Values  // the options of TLS as they were given

	// Known once connected.
	address string        // of this process, as Redis sees it
	current func() string // address of the server
	version serverVersion // of the server
}

// The ports of Redis and of its Sentinels, where a URL gives none.
const (
	portRedis    = "6379"
	portSentinel = "26379"
)

const urlForms = "redis://HOST:PORT/DB, rediss://HOST:PORT/DB (TLS), unix:///PATH?db=DB or sentinel://HOST:PORT,HOST:PORT/MASTER/DB"

var (
	errNoURL   = errors.New("a Redis URL has one of the forms " + urlForms)
	errCluster = errors.New("this is a Redis Cluster, where RQ cannot work: its transactions touch keys of several nodes; use one Redis, with Sentinel for failover")
	errURL     = errors.New("write @ : / ? # % of user names and passwords as %40 %3A %2F %3F %23 %25")
)

var schemePattern = regexp.MustCompile(`^[a-z][a-z0-9.+-]*$`)

// CheckURL reports what is wrong with a URL, without telling a password.
func CheckURL(raw string) error {
	_, err := parseTarget(raw)
	return err
}

// parseTarget reads a URL as redis-py does, and those of Sentinels.
func parseTarget(raw string) (*target, error) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(raw), "://")
	scheme = strings.ToLower(scheme)
	if !ok || !schemePattern.MatchString(scheme) {
		return nil, errNoURL
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 && strings.Contains(rest[i:], "@") {
		return nil, fmt.Errorf("the Redis URL has an @ behind its first / or ?: %w", errURL) // the end of a password, most likely
	}
	rest, text, _ := strings.Cut(rest, "?")
	query, err := url.ParseQuery(text)
	if err != nil {
		return nil, fmt.Errorf("the options of the Redis URL: %w", errURL)
	}
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	} else if scheme == "unix" {
		return nil, errNoURL
	}
	t := &target{network: "tcp", tlsQuery: url.Values{}}
	if authority, err = t.takeUser(authority); err != nil {
		return nil, err
	}
	if err = t.place(scheme, authority, path); err == nil {
		err = t.options(query, strings.HasPrefix(scheme, "rediss"))
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// place reads where the server is, as the scheme says it.
func (t *target) place(scheme, authority, path string) error {
	switch scheme {
	case "redis", "rediss":
		return t.server(authority, path)
	case "unix":
		return t.socket(authority, path)
	case "sentinel", "redis+sentinel", "rediss+sentinel":
		return t.sentinels(authority, path)
	}
	if strings.Contains(scheme, "cluster") {
		return errCluster
	}
	return fmt.Errorf("%q: %w", scheme, errNoURL)
}

// takeUser cuts user name and password off.
func (t *target) takeUser(authority string) (string, error) {
	i := strings.LastIndexByte(authority, '@')
	if i < 0 {
		return authority, nil
	}
	name, password, _ := strings.Cut(authority[:i], ":")
	var errs [2]error
	t.username, errs[0] = url.PathUnescape(name)
	t.password, errs[1] = url.PathUnescape(password)
	if errs[0] != nil || errs[1] != nil {
		return "", fmt.Errorf("user name or password of the Redis URL: %w", errURL)
	}
	return authority[i+1:], nil
}

func (t *target) server(authority, path string) error {
	if strings.Contains(authority, ",") {
		return errCluster
	}
	address, err := hostPort(authority, portRedis)
	if err != nil {
		return err
	}
	t.addresses = []string{address}
	t.db, err = database(strings.Trim(path, "/"))
	return err
}

func (t *target) socket(authority, path string) error {
	path, err := url.PathUnescape(path)
	if authority != "" || err != nil {
		return errNoURL
	}
	t.network, t.addresses = "unix", []string{path}
	return nil
}

func (t *target) sentinels(authority, path string) error {
	for part := range strings.SplitSeq(authority, ",") {
		address, err := hostPort(part, portSentinel)
		if err != nil {
			return err
		}
		t.addresses = append(t.addresses, address)
	}
	name, number, _ := strings.Cut(strings.Trim(path, "/"), "/")
	master, err := url.PathUnescape(name)
	if err != nil || master == "" {
		return fmt.Errorf("the URL names no master: %w", errNoURL)
	}
	t.master = master
	t.db, err = database(number)
	return err
}

// hostPort completes an address.
func hostPort(s, port string) (string, error) {
	host := s
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("the port in the Redis URL is no port: %w", errURL)
	}
	if host == "" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}

func database(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("the database in the Redis URL is not a number: %w", errURL)
	}
	return n, nil
}

// ignored reports whether an option is one of redis-py's that tune its own
// connections.
func ignored(name string) bool {
	return slices.Contains([]string{
		"socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size", "retry_on_timeout", "retry_on_error",
		"max_connections", "timeout", "health_check_interval", "client_name", "lib_name", "lib_version", "protocol",
		"encoding", "encoding_errors", "decode_responses",
	}, name)
}

var optionPattern = regexp.MustCompile(`^[a-z_]{1,40}$`)

// nameOption names an option that may be named: one that is no part of a
// password which was not written as URLs demand.
func nameOption(name string, query url.Values) string {
	if !optionPattern.MatchString(name) || query.Get(name) == "" || query.Has("password") || query.Has("sentinel_password") {
		return ""
	}
	return fmt.Sprintf(": %q", name)
}

// options reads what stands behind the question mark.
func (t *target) options(query url.Values, secure bool) error {
	for name, values := range query {
		value := values[len(values)-1]
		var err error
		switch {
		case name == "db":
			t.db, err = database(value)
		case name == "username":
			t.username = cmp.Or(t.username, value)
		case name == "password":
			t.password = cmp.Or(t.password, value)
		case name == "sentinel_username" && t.master != "":
			t.sentinelUsername = value
		case name == "sentinel_password" && t.master != "":
			t.sentinelPassword = value
		case strings.HasPrefix(name, "ssl_") && secure:
			t.tlsQuery.Set(name, value)
		case !ignored(name):
			err = fmt.Errorf("the Redis URL has an option that is unknown here%s", nameOption(name, query))
		}
		if err != nil {
			return err
		}
	}
	if !secure {
		return nil
	}
	config, err := tlsConfig(t.tlsQuery)
	if err != nil {
		return fmt.Errorf("TLS options of the Redis URL: %w", err)
	}
	t.tls = config
	return nil
}

// tlsConfig reads redis-py's options of TLS.
func tlsConfig(query url.Values) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, name := x509.NewCertPool(), true
	var err error
	for option := range query {
		value := query.Get(option)
		switch option {
		case "ssl_cert_reqs":
			if !slices.Contains([]string{"none", "optional", "required"}, value) {
				return nil, errors.New("ssl_cert_reqs is none, optional or required")
			}
			config.InsecureSkipVerify = value == "none"
		case "ssl_check_hostname":
			name = !slices.Contains([]string{"false", "0", "f", "n", "no"}, strings.ToLower(value))
		case "ssl_ca_certs":
			err = addRoots(roots, value)
			config.RootCAs = roots
		case "ssl_ca_data":
			if !roots.AppendCertsFromPEM([]byte(value)) {
				err = errors.New("ssl_ca_data holds no certificate")
			}
			config.RootCAs = roots
		case "ssl_certfile":
			var own tls.Certificate
			own, err = tls.LoadX509KeyPair(value, cmp.Or(query.Get("ssl_keyfile"), value))
			config.Certificates = []tls.Certificate{own}
		case "ssl_keyfile":
		default:
			err = fmt.Errorf("%.40q is unknown here", option)
		}
		if err != nil {
			return nil, err
		}
	}
	if !name && !config.InsecureSkipVerify {
		checkChainOnly(config)
	}
	return config, nil
}

// addRoots takes the certificates of a file.
func addRoots(roots *x509.CertPool, file string) error {
	pem, err := os.ReadFile(file)
	if err == nil && !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", file)
	}
	return err
}

// checkChainOnly takes any server whose certificate the roots vouch for,
// whatever its name.
func checkChainOnly(config *tls.Config) {
	config.InsecureSkipVerify = true // VerifyConnection does it
	config.VerifyConnection = func(state tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(opts)
		return err
	}
}

// String names the target for people.
func (t *target) String() string {
	switch {
	case t.network == "unix":
		return fmt.Sprintf("unix://%s?db=%d", t.addresses[0], t.db)
	case t.master != "":
		return fmt.Sprintf("sentinel://%s/%s/%d", strings.Join(t.addresses, ","), t.master, t.db)
	}
	return fmt.Sprintf("%s/%d", t.addresses[0], t.db)
}

// childURL names the same server for redis-py, which knows no Sentinels in
// URLs: it gets the master of this moment.
func (t *target) childURL() string {
	user := ""
	if t.username != "" || t.password != "" {
		user = url.UserPassword(t.username, t.password).String() + "@"
	}
	if t.network == "unix" {
		path := (&url.URL{Path: t.addresses[0]}).EscapedPath()
		return fmt.Sprintf("unix://%s%s?db=%d", user, path, t.db)
	}
	scheme, address, query := "redis", t.addresses[0], ""
	if t.master != "" {
		address = t.current()
	}
	if t.tls != nil {
		scheme = "rediss"
	}
	if len(t.tlsQuery) > 0 {
		query = "?" + t.tlsQuery.Encode()
	}
	return fmt.Sprintf("%s://%s%s/%d%s", scheme, user, address, t.db, query)
}
