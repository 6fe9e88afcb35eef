package redisbroker_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro/internal/redistest"
)

// server is one Redis for all tests of the package; each takes a database of
// its own.
var server *redistest.Server

func TestMain(m *testing.M) {
	s, stop, err := redistest.Launch(redistest.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server = s
	// The state machine's default of 100 cases takes too long with -race.
	cases := "30"
	if os.Getenv("DISTRO_SOAK") != "" {
		cases = "500"
	}
	if err := flag.Set("rapid.checks", cases); err != nil {
		panic(err)
	}
	code := m.Run()
	stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
