package main

import (
	"fmt"
	"image/color"
	"io"
	"os"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// console is where a command reads and prints, and what it knows of it.
type console struct {
	in       io.Reader
	out, err io.Writer
	printed  *printer // behind out
	environ  []string

	inTerminal, outTerminal, errTerminal bool

	colors bool // NO_COLOR and a dumb terminal forbid them
	width  int  // columns of the terminal behind out; 0: none or unknown
	now    func() time.Time
	zone   *time.Location
}

func newConsole(environ []string, stdin io.Reader, stdout, stderr io.Writer) *console {
	printed := &printer{to: stdout}
	con := &console{in: stdin, out: printed, printed: printed, err: stderr, environ: environ, now: time.Now, zone: time.Local}
	con.inTerminal = terminal(stdin) != nil
	if f := terminal(stdout); f != nil {
		con.outTerminal = true
		lipgloss.EnableLegacyWindowsANSI(f)
		con.width, _, _ = term.GetSize(int(f.Fd()))
	}
	if f := terminal(stderr); f != nil {
		con.errTerminal = true
		lipgloss.EnableLegacyWindowsANSI(f)
	}
	con.colors = con.getenv("NO_COLOR") == "" && con.getenv("TERM") != "dumb"
	return con
}

// printer keeps the first error of a writer, and writes no more after it:
// commands print without looking, and the end of the program looks once.
type printer struct {
	to  io.Writer
	err error
}

func (p *printer) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.to.Write(b)
	p.err = err
	return n, err
}

// terminal is the file behind an input or output that is a terminal, else nil.
func terminal(stream any) *os.File {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}

// getenv is os.Getenv on the console's environment.
func (con *console) getenv(name string) string {
	for i := len(con.environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(con.environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// note prints a remark for people, dimmed. Programs that read stderr only for
// failures are spared: it is not printed unless stderr is a terminal.
func (con *console) note(format string, args ...any) {
	if con.errTerminal {
		fmt.Fprintln(con.err, con.dim(fmt.Sprintf(format, args...)))
	}
}

// dim is text as a note on stderr.
func (con *console) dim(text string) string {
	if con.errTerminal && con.colors {
		return lipgloss.NewStyle().Faint(true).Render(text)
	}
	return text
}

// paint colours text on stdout.
func (con *console) paint(text string, c color.Color) string {
	if con.outTerminal && con.colors && c != nil {
		return lipgloss.NewStyle().Foreground(c).Render(text)
	}
	return text
}

// bold is text that leads, on stdout.
func (con *console) bold(text string) string {
	if con.outTerminal && con.colors {
		return lipgloss.NewStyle().Bold(true).Render(text)
	}
	return text
}

// statusColor is the colour of a job's status, or of another word that tells
// good from bad; nil for others.
func statusColor(status string) color.Color {
	switch status {
	case "finished", "ok":
		return lipgloss.Green
	case "failed", "stopped":
		return lipgloss.Red
	case "started":
		return lipgloss.Blue
	case "scheduled", "deferred", "paused", "draining", "warning":
		return lipgloss.Yellow
	case "canceled":
		return lipgloss.BrightBlack
	}
	return nil
}

// moment shows a time local and relative, as "14:05:03 (3m ago)"; nil and zero
// times are "".
func (con *console) moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	now := con.now().In(con.zone)
	local := t.In(con.zone)
	layout := "2006-01-02 15:04:05"
	if local.YearDay() == now.YearDay() && local.Year() == now.Year() {
		layout = "15:04:05"
	}
	age := now.Sub(local)
	switch {
	case age < -time.Second:
		return fmt.Sprintf("%s (in %s)", local.Format(layout), span(-age))
	case age < time.Second:
		return local.Format(layout) + " (now)"
	}
	return fmt.Sprintf("%s (%s ago)", local.Format(layout), span(age))
}

// span shows a length of time in at most two units.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
