package httpapi

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// caller is who sends a request, as far as it tells.
type caller struct {
	address string // of the other end of the connection
	cli     bool   // it is the command line of Distro
}

type callerKey struct{}

// CommandLineAgent begins the User-Agent of the command line.
const CommandLineAgent = "distro-cli/"

// withCaller notes who sends a request, for what it makes.
func withCaller(r *http.Request) *http.Request {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	c := caller{address: host, cli: strings.HasPrefix(r.UserAgent(), CommandLineAgent)}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// trigger is what makes the jobs that the caller asks for; scheduled ones wait
// for their time.
func (c caller) trigger(scheduled bool) string {
	switch {
	case c.cli:
		return distro.TriggerCLI
	case scheduled:
		return distro.TriggerSchedule
	}
	return distro.TriggerAPI
}
