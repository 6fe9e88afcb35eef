package dashboard

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// errorView is a failure as a person looks for its cause: the last frame first,
// the team's own files open, those of libraries folded.
type errorView struct {
	Kind    string // of distro.Failure
	Type    string // of the exception; may be empty
	Message string
	Frames  []frameGroup
	Raw     string // the traceback as Python printed it
}

// frameGroup is one frame of the team's own, or frames of libraries that stand
// together.
type frameGroup struct {
	Library bool
	Frames  []stackFrame
}

// stackFrame is a line of a traceback.
type stackFrame struct {
	File     string // short
	Path     string
	Line     int
	Function string
	Code     string
}

// frameLine is how Python's traceback module prints the place of a frame.
var frameLine = regexp.MustCompile(`^  File "(.*)", line (\d+)(?:, in (.*))?$`)

// Bounds of what is taken apart.
const (
	maxFrames    = 200
	maxTraceback = 1 << 20 // bytes
)

func viewFailure(f *distro.Failure) *errorView {
	if f == nil {
		return nil
	}
	raw := f.Traceback
	if len(raw) > maxTraceback {
		raw = raw[len(raw)-maxTraceback:]
	}
	v := &errorView{Kind: string(f.Kind), Type: f.Type, Message: f.Message, Raw: raw}
	v.Frames = grouped(framesOf(raw))
	return v
}

// framesOf takes a traceback apart, the last call first. Of several, as of an
// exception during the handling of another, the last one counts.
func framesOf(traceback string) []stackFrame {
	var frames []stackFrame
	lines := strings.Split(traceback, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Traceback (most recent call last)") {
			frames = nil
			continue
		}
		m := frameLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		number, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		f := stackFrame{Path: m[1], File: shortPath(m[1]), Line: number, Function: m[3]}
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "    ") {
			f.Code = strings.TrimSpace(lines[i+1])
		}
		frames = append(frames, f)
	}
	slices.Reverse(frames)
	return frames[:min(len(frames), maxFrames)]
}

// shortPath is the end of a path, enough to know the file by.
func shortPath(p string) string {
	parts := strings.Split(p, "/")
	return strings.Join(parts[max(len(parts)-2, 0):], "/")
}

// fromLibrary reports whether a file belongs to Python or to what was installed.
func fromLibrary(p string) bool {
	p = strings.ReplaceAll(p, `\`, "/")
	return strings.HasPrefix(p, "<") ||
		slices.ContainsFunc([]string{"/site-packages/", "/dist-packages/", "/lib/python3", "/lib64/python3"}, func(part string) bool {
			return strings.Contains(p, part)
		})
}

func grouped(frames []stackFrame) []frameGroup {
	var groups []frameGroup
	for _, f := range frames {
		library := fromLibrary(f.Path)
		if last := len(groups) - 1; library && last >= 0 && groups[last].Library {
			groups[last].Frames = append(groups[last].Frames, f)
			continue
		}
		groups = append(groups, frameGroup{library, []stackFrame{f}})
	}
	return groups
}
