package browsertest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Violation is a rule of accessibility that the page breaks.
type Violation struct {
	Rule   string   `json:"id"`
	Impact string   `json:"impact"` // minor, moderate, serious or critical
	Help   string   `json:"help"`
	Nodes  []string `json:"nodes"` // where, and how
}

// Serious reports whether it keeps people from using the page.
func (v Violation) Serious() bool { return v.Impact == "serious" || v.Impact == "critical" }

// Axe is the source of axe-core.
type Axe string

// ReadAxe reads axe-core, as npm installed it below a folder. Where it is not
// installed, the test is skipped.
func ReadAxe(t testing.TB, folder string) Axe {
	t.Helper()
	source, err := os.ReadFile(folder + "/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skipf("axe-core is not installed: make assets (%v)", err)
	}
	return Axe(source)
}

// axesOwn are problems of pages into which axe-core came: the style that it tries
// things out with.
func axesOwn(problem string) bool {
	return strings.HasPrefix(problem, "security: Applying inline style") || strings.HasPrefix(problem, "security: Refused to apply inline style")
}

// Violations runs axe-core in the page. It comes in through the DevTools protocol,
// which no policy of the page keeps out. It checks the rules that are named; where
// none is, those that axe-core checks by itself.
func (tab *Tab) Violations(axe Axe, rules ...string) []Violation {
	tab.t.Helper()
	defer tab.watch.forget(axesOwn)
	var there bool
	tab.Eval(`Boolean(window.axe)`, &there)
	if !there {
		if err := chromedp.Do(tab.ctx, chromedp.Evaluate[chromedp.Void](string(axe)+";undefined")); err != nil {
			tab.t.Fatalf("put axe-core into the page: %v", err)
		}
	}
	only := ""
	if len(rules) > 0 {
		only = fmt.Sprintf(`, runOnly: { type: "rule", values: "%s".split(" ") }`, strings.Join(rules, " "))
	}
	var found []Violation
	tab.Eval(`axe.run(document, { resultTypes: ["violations"], elementRef: false`+only+` }).then((result) => result.violations.map((v) => ({
  id: v.id, impact: v.impact ?? "", help: v.help,
  nodes: v.nodes.slice(0, 5).map((n) => n.target.join(" ") + ": " + n.html.slice(0, 160) + " " + (n.any[0] ?? n.all[0] ?? n.none[0])?.message),
})))`, &found)
	return found
}

// String tells a violation in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s (%s): %s: %q", v.Rule, v.Impact, v.Help, v.Nodes)
}
