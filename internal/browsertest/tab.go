package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Options are what a tab is like to the pages in it.
type Options struct {
	Width, Height int64  // of the page, in pixels; default 1280 × 800
	Language      string // that the browser asks for; default en
	Dark          bool   // the system's theme is dark
	NoScripts     bool   // pages run no scripts; Eval and its like work all the same
}

func (o Options) withDefaults() Options {
	if o.Width == 0 {
		o.Width = 1280
	}
	if o.Height == 0 {
		o.Height = 800
	}
	if o.Language == "" {
		o.Language = "en"
	}
	return o
}

// Tab is a tab that shares nothing with others but the process: it has its own
// cookies, storage and cache. Its methods are for one goroutine at a time, and
// end the test where they cannot do what they say.
type Tab struct {
	t       testing.TB
	ctx     context.Context //nolint:containedctx // it is the tab
	browser *Browser
	options Options
	watch   *watch
}

// NewTab opens a tab that ends with the test. A test that went well fails in the
// end if a page had a problem that nobody asked about; see Problems. Readers of
// its pages want no motion.
func (b *Browser) NewTab(t testing.TB, options Options) *Tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	ctx, stop := context.WithTimeout(ctx, 8*Patience)
	tab := &Tab{t: t, ctx: ctx, browser: b, options: options.withDefaults(), watch: newWatch()}
	answered := make(chan struct{})
	t.Cleanup(func() {
		if !t.Failed() {
			for _, p := range tab.Problems() {
				t.Errorf("in the console: %s", p)
			}
		}
		stop()
		closeTab()
		<-answered
	})
	if err := chromedp.Listen(ctx, tab.watch.heard); err != nil {
		close(answered)
		t.Fatalf("open a tab: %v", err)
	}
	go func() {
		defer close(answered)
		tab.answerDialogs()
	}()
	tab.Resize(tab.options.Width, tab.options.Height)
	tab.SetTheme(tab.options.Dark)
	tab.SetLanguage(tab.options.Language)
	if tab.options.NoScripts {
		call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	return tab
}

// call runs a command of the DevTools protocol.
func call[P, R any](tab *Tab, command cdp.Command[P, R], params P) R {
	tab.t.Helper()
	result, err := chromedp.Call(tab.ctx, command, params)
	if err != nil {
		tab.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// Resize changes the size of the page.
func (tab *Tab) Resize(width, height int64) {
	tab.t.Helper()
	tab.options.Width, tab.options.Height = width, height
	if err := chromedp.Do(tab.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		tab.t.Fatalf("resize to %d × %d: %v", width, height, err)
	}
}

// SetTheme changes the theme of the system.
func (tab *Tab) SetTheme(dark bool) {
	tab.t.Helper()
	scheme := map[bool]string{false: "light", true: "dark"}[dark]
	call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// SetLanguage changes the language that the browser asks for from now on.
func (tab *Tab) SetLanguage(tag string) {
	tab.t.Helper()
	call(tab, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: tab.browser.userAgent, AcceptLanguage: tag})
}

// Slow makes the processor as many times slower, and the network as slow as a link
// of so many bytes a second, on which every answer comes so much later.
func (tab *Tab) Slow(times float64, bytesPerSecond float64, latency time.Duration) {
	tab.t.Helper()
	call(tab, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: times})
	call(tab, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{{
		Latency: latency.Seconds() * 1000, DownloadThroughput: bytesPerSecond, UploadThroughput: bytesPerSecond,
	}}})
}

// SetCookie sets a cookie for an origin.
func (tab *Tab) SetCookie(origin, name, value string) {
	tab.t.Helper()
	call(tab, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: origin})
}

// RunOnEveryPage runs a script in every page from now on, before its own.
func (tab *Tab) RunOnEveryPage(script string) {
	tab.t.Helper()
	call(tab, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

// Go goes to an address and waits until its page is loaded. What Requests tells
// begins anew.
func (tab *Tab) Go(address string) {
	tab.t.Helper()
	tab.watch.begin()
	ctx, cancel := context.WithTimeout(tab.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		tab.t.Fatalf("go to %s: %v", address, err)
	}
}

// Eval runs an expression, and waits where it is a promise, but where pages run
// no scripts. The policy of the page does not matter to it.
func (tab *Tab) Eval(expression string, into any) {
	tab.t.Helper()
	text, err := tab.evaluate(expression)
	if err != nil {
		tab.t.Fatalf("%s: %v", expression, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		tab.t.Fatalf("%s: %q: %v", expression, text, err)
	}
}

func (tab *Tab) evaluate(expression string) (string, error) {
	if tab.options.NoScripts {
		return chromedp.Run(tab.ctx, chromedp.Evaluate[string](`JSON.stringify(`+expression+`) ?? "null"`))
	}
	return chromedp.Run(tab.ctx, chromedp.Evaluate[string](`(async () => JSON.stringify(await (`+expression+`)) ?? "null")()`, chromedp.EvalAwaitPromise))
}

// Do runs statements.
func (tab *Tab) Do(statements string) {
	tab.t.Helper()
	if tab.options.NoScripts {
		tab.Eval("(() => {"+statements+"})()", nil)
		return
	}
	tab.Eval("(async () => {"+statements+"})()", nil)
}

// Is compares what an expression is with what it must be.
func (tab *Tab) Is(expression string, want any) {
	tab.t.Helper()
	var got any
	tab.Eval(expression, &got)
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	if got != want {
		tab.t.Errorf("%s is %v, want %v", expression, got, want)
	}
}

// Text is what an expression is, as text.
func (tab *Tab) Text(expression string) string {
	tab.t.Helper()
	var text string
	tab.Eval("String("+expression+")", &text)
	return text
}

// Number is what an expression is, as a number.
func (tab *Tab) Number(expression string) float64 {
	tab.t.Helper()
	var n float64
	tab.Eval(expression, &n)
	return n
}

// Wait waits until an expression is true, on whatever page the tab is then. One
// that throws is not true.
func (tab *Tab) Wait(expression string) {
	tab.t.Helper()
	look := fmt.Sprintf("(() => { try { return Boolean(%s) } catch { return false } })()", expression)
	if !tab.options.NoScripts {
		// Not chromedp.Poll: a strict policy of the page forbids what it does.
		look = fmt.Sprintf(`new Promise((resolve) => {
  const end = Date.now() + %d;
  const look = () => {
    let found = false;
    try { found = Boolean(%s); } catch { }
    if (found || Date.now() > end) resolve(found);
    else setTimeout(look, 20);
  };
  look();
})`, Patience.Milliseconds(), expression)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Patience); ; <-tick.C {
		found, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool](look, chromedp.EvalAwaitPromise))
		if found {
			return
		}
		// What is asked while the page is left has no answer.
		if time.Now().After(end) {
			shown, problem := tab.evaluate(`location.href + " " + document.visibilityState + " " + document.body.innerText.slice(0, 2500)`)
			tab.t.Fatalf("%s is not true after %v (%v); problems %q; page (%v): %s", expression, Patience, err, tab.Problems(), problem, shown)
		}
	}
}

// Screenshot is a picture of what is seen, or of the whole page, as PNG.
func (tab *Tab) Screenshot(whole bool) []byte {
	tab.t.Helper()
	shoot := chromedp.CaptureScreenshot()
	if whole {
		shoot = chromedp.FullScreenshot(100)
	}
	picture, err := chromedp.Run(tab.ctx, shoot)
	if err != nil {
		tab.t.Fatalf("take a screenshot: %v", err)
	}
	return picture
}

// HeapBytes is how much memory the scripts of the page use.
func (tab *Tab) HeapBytes() float64 {
	tab.t.Helper()
	return call(tab, runtime.GetHeapUsage, cdp.Empty{}).UsedSize
}
