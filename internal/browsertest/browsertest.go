// Package browsertest drives a real Chromium for tests of pages: tabs of any
// size, language and theme, with scripts or without, what their readers type and
// click, and what the console, the network and axe-core say about it.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Patience is how long a tab waits for what must happen: machines differ, and
// other tests run beside.
const Patience = 45 * time.Second

// Browser is a browser process without a window.
type Browser struct {
	ctx       context.Context //nolint:containedctx // it is the browser
	userAgent string
}

// Start starts the browser that the system packages, and ends it with the test.
// Where there is none, the test is skipped. Its own sandbox does not work for root.
func Start(t testing.TB) *Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(find(t)), chromedp.Flag("lang", "en"))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeFirst := chromedp.NewContext(ctx)
	t.Cleanup(closeFirst)
	agent, err := chromedp.Run(ctx, chromedp.Evaluate[string]("navigator.userAgent"))
	if err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return &Browser{ctx: ctx, userAgent: agent}
}

func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium")
	return ""
}
