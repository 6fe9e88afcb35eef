package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func TestTextCannotActOnTheTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"olá ✓":             "olá ✓",
		"a\nb\tc":           `a\nb\tc`,
		"\x1b[2J\x07\x7f":   `\x1b[2J\a\x7f`,
		"\u009b31m\u202eab": `\u009b31m\u202eab`,
		"\xff\x9b":          `\xff\x9b`,
		"\ufffd":            "\ufffd",
	} {
		if got := clean(text); got != want {
			t.Errorf("clean(%q) = %s, want %s", text, got, want)
		}
	}
	if got, want := cleanBlock("a\r\n\tb\x1b]0;x\a\n"), "a\n\tb\\x1b]0;x\\a\n"; got != want {
		t.Errorf("cleanBlock = %q, want %q", got, want)
	}
}

func TestOutputKeepsColoursAndNothingElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                    "plain",
		"\x1b[1;31mred":            "\x1b[1;31mred\x1b[0m",
		"\x1b[31mred\x1b[0m":       "\x1b[31mred\x1b[0m\x1b[0m",
		"\x1b[2J\x1b]52;c;eA==\a":  `\x1b[2J\x1b]52;c;eA==\a`,
		"10%\r50%\r100%":           "100%",
		"done\r":                   "done",
		"a\tb\x1b[" + "9999999999": `a` + "\t" + `b\x1b[9999999999`,
	} {
		if got := cleanOutput(text, true); got != want {
			t.Errorf("cleanOutput(%q) = %q, want %q", text, got, want)
		}
	}
	if got := cleanOutput("\x1b[31mred\x1b[0m", false); got != "red" {
		t.Errorf("without colours: %q", got)
	}
}

func TestTimesAreLocalAndRelative(t *testing.T) {
	t.Parallel()
	con := &console{now: today, zone: time.FixedZone("BRT", -3*60*60)}
	for ago, want := range map[time.Duration]string{
		0: "11:05:03 (now)", 3 * time.Minute: "11:02:03 (3m00s ago)", -2 * time.Hour: "13:05:03 (in 2h00m)",
		12 * time.Hour: "2026-09-30 23:05:03 (12h00m ago)", 80 * time.Hour: "2026-09-28 03:05:03 (3d ago)", 1500 * time.Millisecond: "11:05:01 (1.5s ago)",
	} {
		at := today().Add(-ago)
		if got := con.moment(&at); got != want {
			t.Errorf("%v ago: %q, want %q", ago, got, want)
		}
	}
	if got := con.moment(nil) + con.moment(&time.Time{}); got != "" {
		t.Errorf("no time: %q", got)
	}
}

// screen is a console whose stdout is a terminal of this width.
func screen(out *bytes.Buffer, width int, colors bool) *console {
	return &console{out: out, outTerminal: true, width: width, colors: colors}
}

func TestTablesAreDrawnOnTerminalsOnly(t *testing.T) {
	t.Parallel()
	g := newGrid(1, "ID", "STATUS", "NOTE")
	g.add("a1", "failed", "tab\there")
	g.add("b2", "queued", "日本")
	var piped, drawn, colored bytes.Buffer
	g.print(&console{out: &piped, colors: true}, "")
	g.print(screen(&drawn, 0, false), "")
	g.print(screen(&colored, 0, true), "")
	if diff := cmp.Diff("ID  STATUS  NOTE\na1  failed  tab\\there\nb2  queued  日本\n", piped.String()); diff != "" {
		t.Errorf("piped (-want +got):\n%s", diff)
	}
	want := `╭────┬────────┬───────────╮
│ ID │ STATUS │ NOTE      │
├────┼────────┼───────────┤
│ a1 │ failed │ tab\there │
│ b2 │ queued │ 日本      │
╰────┴────────┴───────────╯
`
	if diff := cmp.Diff(want, drawn.String()); diff != "" {
		t.Errorf("terminal without colours (-want +got):\n%s", diff)
	}
	if !strings.Contains(colored.String(), "\x1b[31mfailed") {
		t.Errorf("terminal with colours: %q", colored.String())
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	g := newGrid(-1, "ID", "NOTE")
	g.add("a", strings.Repeat("word ", 30))
	var out, none bytes.Buffer
	g.print(screen(&out, 40, false), "")
	for line := range strings.Lines(out.String()) {
		if width := len([]rune(strings.TrimRight(line, "\n"))); width > 40 {
			t.Errorf("line of %d columns: %s", width, line)
		}
	}
	newGrid(-1, "ID").print(screen(&none, 40, false), "no jobs")
	if none.String() != "no jobs\n" {
		t.Errorf("empty table: %q", none.String())
	}
}

func TestOutputGoesWhereItCameFrom(t *testing.T) {
	t.Parallel()
	lines := []httpapi.LogLine{
		{Number: 1, Stream: "distro", Text: "attempt 1"},
		{Number: 2, Stream: "stdout", Text: "1", Open: true},
		{Number: 2, Stream: "stdout", Text: "10", Open: true},
		{Number: 2, Stream: "stdout", Text: "100"},
		{Number: 3, Stream: "stderr", Text: "\x1b[2Jwarn"},
		{Number: 4, Stream: "stdout", Text: "cut", Open: true},
		{Number: 5, Stream: "stdout", Text: "next"},
		{Number: 6, Stream: "stdout", Text: "open", Open: true},
	}
	show := func(con *console) {
		w := &outputWriter{con: con}
		for _, line := range lines {
			if err := w.write(line); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.finish(); err != nil {
			t.Fatal(err)
		}
	}
	var out, errOut, termOut, termErr bytes.Buffer
	show(&console{out: &out, err: &errOut})
	show(&console{out: &termOut, err: &termErr, outTerminal: true, errTerminal: true, colors: true})
	got := []string{out.String(), errOut.String(), termOut.String(), termErr.String()}
	want := []string{
		"100\ncut\nnext\nopen\n", "attempt 1\n\x1b[2Jwarn\n",
		"100\ncut\nnext\nopen\n", "\x1b[2mattempt 1\x1b[m\n\\x1b[2Jwarn\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stdout, stderr, both on a terminal (-want +got):\n%s", diff)
	}
}
