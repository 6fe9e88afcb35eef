package sqlitebroker_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		err := crashingChild(context.Background(), path, os.Getenv(crashEnv+"_ROUND"))
		fmt.Fprintln(os.Stderr, "crashing child ended:", err)
		os.Exit(1)
	}
	// The state machine's default of 100 cases takes too long with -race.
	cases := "20"
	if soak() {
		cases = "500"
	}
	if err := flag.Set("rapid.checks", cases); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// soak reports whether the tests may take their time.
func soak() bool { return os.Getenv("DISTRO_SOAK") != "" }

// feedKeep is small, so that the suite need not write 100,000 entries.
const feedKeep = 700

func harness(t *testing.T) brokertest.Harness {
	dir := t.TempDir()
	var n atomic.Int64
	return brokertest.Harness{
		FeedKeep: feedKeep,
		Open: func(t brokertest.TB, clock broker.Clock) broker.Broker {
			t.Helper()
			path := filepath.Join(dir, fmt.Sprintf("%d.db", n.Add(1)))
			b, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: path, Clock: clock, FeedKeep: feedKeep})
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Fatalf("close: %v", err)
				}
			})
			return b
		},
	}
}

func TestItKeepsTheContract(t *testing.T) {
	t.Parallel()
	harness(t).Run(t)
}

func TestItDoesAsTheModelDoes(t *testing.T) {
	t.Parallel()
	harness(t).RunModel(t)
}
