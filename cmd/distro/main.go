// Command distro orchestrates Python automations: "distro up" serves them, the
// other commands operate a server through its API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones by name on machines that have no files of them

	"github.com/distro-orchestrator/distro"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// Who listens is not killed by a pipe that nobody reads, but told. Ignoring
	// the signal would be inherited by every job.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the program: args with its name, environ as os.Environ returns it. It
// returns the exit status.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	con := newConsole(environ, stdin, stdout, stderr)
	name, args := args[0], args[1:]
	if isRQ(name) {
		var err error
		if args, err = fromRQ(args); err != nil {
			return con.end(err)
		}
	}
	return execute(ctx, con, args)
}

func execute(ctx context.Context, con *console, args []string) int {
	root := newRoot(con)
	err := unknownCommand(root, args)
	if err == nil {
		root.SetArgs(spelled(args))
		err = root.ExecuteContext(ctx)
	}
	return con.end(err)
}

// end tells why a command failed, and returns the exit status.
func (con *console) end(err error) int {
	if lost := con.printed.err; lost != nil {
		if errors.Is(lost, syscall.EPIPE) {
			return exitFailed // who reads has seen enough
		}
		if err == nil || errors.Is(err, lost) {
			err = fmt.Errorf("print to stdout: %s", cause(lost))
		}
	}
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(con.err, "distro: "+clean(err.Error()))
	}
	refused, ok := errors.AsType[*refusal](err)
	if distro.ErrorCode(err) == distro.CodeInvalid || ok && refused.Code == string(distro.CodeInvalid) {
		return exitUsage
	}
	return exitFailed
}

// errReported ends a command whose failure was printed already.
var errReported = errors.New("reported")

// usage is an error in how the program was called.
func usage(format string, args ...any) error {
	return distro.Errorf(distro.CodeInvalid, format, args...)
}
