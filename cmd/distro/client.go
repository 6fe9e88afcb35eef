package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

const (
	defaultServer = "http://127.0.0.1:7000"
	maxReply      = 256 << 20
	waitStep      = 30 * time.Second // of one long poll
)

// remote is how a command reaches the server, as its flags say.
type remote struct {
	server, tokenFile string
	json              bool
}

func (r *remote) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.server, "server", defaultServer, "`URL` of the server")
	cmd.Flags().StringVar(&r.tokenFile, "token-file", "", "`FILE` that holds the token; else DISTRO_AUTH_TOKEN or the file that DISTRO_AUTH_TOKEN_FILE names, else auth_token of ./config.cfg")
	cmd.Flags().BoolVar(&r.json, "json", false, "print the API's JSON")
}

func (r *remote) client(con *console) (*client, error) {
	server := r.server
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil || base.RawQuery != "" {
		return nil, usage("--server: %q is not a URL like %s", r.server, defaultServer)
	}
	token, err := r.token(con)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 2 * waitStep,
	}
	return &client{
		base: strings.TrimRight(base.String(), "/"), token: token,
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// token finds the bearer token; it is empty when there is none.
func (r *remote) token(con *console) (string, error) {
	const variable = "DISTRO_AUTH_TOKEN"
	if r.tokenFile != "" {
		return tokenIn("--token-file", r.tokenFile)
	}
	if token := con.getenv(variable); token != "" {
		return checkToken(variable, token)
	}
	if file := con.getenv(variable + config.FileSuffix); file != "" {
		return tokenIn(variable+config.FileSuffix, file)
	}
	return checkToken("config.cfg: auth_token", config.FileToken("config.cfg"))
}

// tokenIn reads the token of a file that origin names.
func tokenIn(origin, file string) (string, error) {
	token, err := config.ReadSecret(file)
	if err != nil {
		return "", usage("%s: %v", origin, err)
	}
	return checkToken(origin, token)
}

func checkToken(origin, token string) (string, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }) {
		return "", usage("%s: a token is one word of visible ASCII characters", origin)
	}
	return token, nil
}

// client talks to /api/v1.
type client struct {
	base  string
	token string
	http  *http.Client
}

// unreachable is the error of a server that did not answer at all, so that
// asking again may help.
type unreachable struct {
	server string
	err    error
}

func (u *unreachable) Error() string {
	return fmt.Sprintf("cannot reach %s (%s): start it with `distro up` or name another with --server", u.server, cause(u.err))
}

func (u *unreachable) Unwrap() error { return u.err }

// cause is the part of a network error that people need.
func cause(err error) string {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no answer in time"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "connection refused"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// refusal is the server's no.
type refusal struct{ httpapi.Problem }

func (r *refusal) Error() string {
	text := r.Detail
	if text == "" {
		text = r.Title
	}
	if r.Field != "" && !strings.HasPrefix(text, r.Field) {
		text = r.Field + ": " + text
	}
	if r.Status == http.StatusUnauthorized {
		text += ": set DISTRO_AUTH_TOKEN or pass --token-file"
	}
	return text
}

// endpoint is a path of /api/v1; its parts are escaped.
func endpoint(parts ...string) string {
	path := "/api/v1"
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

func (c *client) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(data)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("User-Agent", httpapi.CommandLineAgent+readBuild().Version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.send(req)
}

// send returns an answer of status 2xx, else an error.
func (c *client) send(req *http.Request) (*http.Response, error) {
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	reply, err := c.http.Do(req)
	if err != nil {
		if req.Context().Err() != nil {
			return nil, errInterrupted
		}
		return nil, &unreachable{c.base, err}
	}
	if reply.StatusCode/100 == 2 {
		return reply, nil
	}
	defer reply.Body.Close()
	refused := &refusal{}
	data, _ := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if json.Unmarshal(data, &refused.Problem) != nil || refused.Detail == "" && refused.Title == "" {
		refused.Detail = fmt.Sprintf("%s answered %q to %s %s: is it a Distro server?", c.base, reply.Status, req.Method, req.URL.Path)
	}
	refused.Status = reply.StatusCode
	return nil, refused
}

// errInterrupted ends a command whose user ended it.
var errInterrupted = errors.New("interrupted")

// do sends a request and returns the body of its answer.
func (c *client) do(ctx context.Context, method, path string, query url.Values, body any) ([]byte, error) {
	reply, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(io.LimitReader(reply.Body, maxReply+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, errInterrupted
	case err != nil:
		return nil, &unreachable{c.base, err}
	case len(data) > maxReply:
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes: ask for less", c.base, maxReply)
	}
	return data, nil
}

// fetch sends a request, decodes the answer into a T and keeps its bytes.
func fetch[T any](ctx context.Context, c *client, method, path string, query url.Values, body any) (reply T, raw []byte, err error) {
	raw, err = c.do(ctx, method, path, query, body)
	if err != nil {
		return reply, nil, err
	}
	if err := json.Unmarshal(raw, &reply); err != nil {
		return reply, nil, fmt.Errorf("%s answered something unknown to %s %s: is it a Distro server of this version?", c.base, method, path)
	}
	return reply, raw, nil
}

// printJSON prints an answer as it came, readable on a terminal.
func (con *console) printJSON(raw []byte) {
	raw = bytes.TrimSpace(raw)
	if con.outTerminal {
		var b bytes.Buffer
		if json.Indent(&b, raw, "", "  ") == nil {
			raw = b.Bytes()
		}
		raw = []byte(cleanBlock(string(raw)))
	}
	fmt.Fprintf(con.out, "%s\n", raw)
}

// look is a command that asks for one thing and shows it.
func look[T any](ctx context.Context, con *console, r *remote, path string, query url.Values, show func(T)) error {
	c, err := r.client(con)
	if err != nil {
		return err
	}
	reply, raw, err := fetch[T](ctx, c, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	if r.json {
		con.printJSON(raw)
		return nil
	}
	show(reply)
	return nil
}
