package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/distro-orchestrator/distro"
)

// Bounds of values.
const (
	maxDuration = 100 * 365 * 24 * time.Hour
	maxShown    = 60 // characters of a refused value in its error
	maxList     = 100
	minToken    = 16
	maxToken    = 4096
)

var (
	secondsPattern = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,9})?$`)
	daysPattern    = regexp.MustCompile(`^([0-9]{1,6})d(.*)$`)
	sizePattern    = regexp.MustCompile(`(?i)^([0-9]{1,15})\s*(?:([KMGT])(?:i?B)?|B)?$`)
	queuePattern   = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,100}$`)
	hostPattern    = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$`)
)

// ParseDuration reads a time like "90s", "2h10m20s", "30d", "1d12h", or a
// plain number of seconds. It is never negative.
func ParseDuration(text string) (time.Duration, error) {
	refused := fmt.Errorf("%s is not a time like 90s, 2h10m or 30d (a plain number counts seconds)", quote(text))
	if secondsPattern.MatchString(text) {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || seconds > maxDuration.Seconds() {
			return 0, refused
		}
		return time.Duration(math.Round(seconds * float64(time.Second))), nil
	}
	var days time.Duration
	rest := text
	if m := daysPattern.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > int(maxDuration/(24*time.Hour)) {
			return 0, refused
		}
		days, rest = time.Duration(n)*24*time.Hour, m[2]
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > maxDuration-days {
		return 0, refused
	}
	return days + d, nil
}

// ParseSize reads a number of bytes like "256M", "1G" or "4096"; the units are
// powers of 1024.
func ParseSize(text string) (int64, error) {
	refused := fmt.Errorf("%s is not a size like 256M, 1G or a number of bytes", quote(text))
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, refused
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, refused
	}
	shift := 0
	if m[2] != "" {
		shift = 10 * (1 + strings.Index("KMGT", strings.ToUpper(m[2])))
	}
	if n > math.MaxInt64>>shift {
		return 0, refused
	}
	return n << shift, nil
}

// value reads the text of a setting into its field of a Config. Relative paths
// are taken from base.
type value struct {
	accepts string // for people: "whole number from 0 to 100"
	hint    string // the same in one word, for a flag: "N"
	many    bool   // its text may have several lines
	read    func(c *Config, text, base string) error
	show    func(c *Config) string
}

func show[T any](field func(*Config) *T) func(*Config) string {
	return func(c *Config) string { return fmt.Sprint(*field(c)) }
}

func whole(lo, hi int, field func(*Config) *int) value {
	accepts := fmt.Sprintf("whole number from %d to %d", lo, hi)
	return value{accepts: accepts, hint: "N", show: show(field), read: func(c *Config, text, _ string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < lo || n > hi {
			return fmt.Errorf("%s is not a %s", quote(text), accepts)
		}
		*field(c) = n
		return nil
	}}
}

// duration reads a time; forever, where it is not empty, is the word for
// distro.Forever.
func duration(lo, hi time.Duration, forever string, field func(*Config) *time.Duration) value {
	accepts := "time like 90s, 2h10m or 30d"
	if forever != "" {
		accepts += ", or " + forever
	}
	return value{accepts: accepts, show: show(field), read: func(c *Config, text, _ string) error {
		if forever != "" && strings.EqualFold(text, forever) {
			*field(c) = distro.Forever
			return nil
		}
		d, err := ParseDuration(text)
		if err != nil {
			return err
		}
		if d < lo || d > hi {
			return fmt.Errorf("%s is not between %v and %v", quote(text), lo, hi)
		}
		*field(c) = d
		return nil
	}}
}

// size reads bytes from lo to hi; off lets 0 through as well.
func size(lo, hi int64, off bool, field func(*Config) *int64) value {
	accepts := "size like 256M or 1G"
	if off {
		accepts += ", or 0"
	}
	return value{accepts: accepts, show: show(field), read: func(c *Config, text, _ string) error {
		n, err := ParseSize(text)
		if err != nil {
			return err
		}
		if (n < lo || n > hi) && (!off || n != 0) {
			return fmt.Errorf("%s is not between %d and %d bytes", quote(text), lo, hi)
		}
		*field(c) = n
		return nil
	}}
}

// zone reads the name of a time zone. Local is none: what it means depends on
// the machine.
func zone(field func(*Config) **time.Location) value {
	return value{accepts: "IANA name like America/Sao_Paulo or UTC", show: func(c *Config) string {
		return (*field(c)).String()
	}, read: func(c *Config, text, _ string) error {
		location, err := time.LoadLocation(text)
		if err != nil || text == "" || text == "Local" {
			return fmt.Errorf("%s is not the IANA name of a time zone, like America/Sao_Paulo or UTC", quote(text))
		}
		*field(c) = location
		return nil
	}}
}

func oneOf(words []string, field func(*Config) *string) value {
	accepts := strings.Join(words, ", ")
	return value{accepts: accepts, hint: strings.Join(words, "|"), show: show(field), read: func(c *Config, text, _ string) error {
		if !slices.Contains(words, text) {
			return fmt.Errorf("%s is not one of: %s", quote(text), accepts)
		}
		*field(c) = text
		return nil
	}}
}

// toggle reads what Python's configparser takes for a boolean.
func toggle(field func(*Config) *bool) value {
	return value{accepts: "on, off", hint: "on|off", read: func(c *Config, text, _ string) error {
		switch strings.ToLower(text) {
		case "on", "yes", "true", "1":
			*field(c) = true
		case "off", "no", "false", "0":
			*field(c) = false
		default:
			return fmt.Errorf("%s is neither on nor off", quote(text))
		}
		return nil
	}, show: func(c *Config) string {
		if *field(c) {
			return "on"
		}
		return "off"
	}}
}

// path reads a file or folder; where it is required, it cannot be empty.
func path(accepts string, required bool, field func(*Config) *string) value {
	return value{accepts: accepts, hint: "DIR", show: show(field), read: func(c *Config, text, base string) error {
		if strings.ContainsRune(text, 0) || required && text == "" {
			return fmt.Errorf("%s is not a %s", quote(text), accepts)
		}
		if text != "" && !filepath.IsAbs(text) {
			text = filepath.Join(base, text)
		}
		*field(c) = text
		return nil
	}}
}

// program reads "auto", the name of a program on PATH, or a path, which begins
// with a dot or holds a separator.
func program(field func(*Config) *string) value {
	return value{accepts: "auto, a name on PATH, or a path", show: show(field), read: func(c *Config, text, base string) error {
		if text == "" || strings.ContainsRune(text, 0) {
			return fmt.Errorf("%s is not a program: write auto, a name or a path", quote(text))
		}
		if (text[0] == '.' || strings.ContainsAny(text, `/\`)) && !filepath.IsAbs(text) {
			text = filepath.Join(base, text)
		}
		*field(c) = text
		return nil
	}}
}

// address reads where to listen. Port 0 takes a free one.
func address(field func(*Config) *string) value {
	return value{accepts: "HOST:PORT", hint: "HOST:PORT", show: show(field), read: func(c *Config, text, _ string) error {
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			return fmt.Errorf("%s is not HOST:PORT, like 127.0.0.1:7000", quote(text))
		}
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return fmt.Errorf("%s: the port is not a number from 0 to 65535", quote(text))
		}
		if host != "" && net.ParseIP(host) == nil && !hostPattern.MatchString(host) {
			return fmt.Errorf("%s: the host is not a name or an IP address", quote(text))
		}
		*field(c) = text
		return nil
	}}
}

// link reads a URL whose text may hold a password: refusals never repeat it,
// and it is not parsed further, as drivers take more than url.Parse does.
func link(field func(*Config) *string, schemes ...string) value {
	accepts := "URL that begins with " + strings.Join(schemes, ", ")
	return value{accepts: accepts, hint: "URL", show: show(field), read: func(c *Config, text, _ string) error {
		known := func(scheme string) bool { return strings.HasPrefix(text, scheme) && len(text) > len(scheme) }
		if text != "" && !slices.ContainsFunc(schemes, known) {
			return errors.New("not a " + accepts)
		}
		*field(c) = text
		return nil
	}}
}

func token(field func(*Config) *string) value {
	accepts := fmt.Sprintf("at least %d visible characters", minToken)
	return value{accepts: accepts, show: show(field), read: func(c *Config, text, _ string) error {
		hidden := func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }
		if text != "" && (len(text) < minToken || len(text) > maxToken || strings.ContainsFunc(text, hidden)) {
			return fmt.Errorf("not a token of %s of ASCII without spaces", accepts)
		}
		*field(c) = text
		return nil
	}}
}

// names reads a list divided by commas, spaces or lines.
func names(what string, pattern *regexp.Regexp, least int, field func(*Config) *[]string) value {
	accepts := "list of " + what + "s, divided by commas"
	return value{accepts: accepts, many: true, show: show(field), read: func(c *Config, text, _ string) error {
		list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
		if len(list) < least || len(list) > maxList {
			return fmt.Errorf("%s is not a %s (%d to %d)", quote(text), accepts, least, maxList)
		}
		for i, name := range list {
			if !pattern.MatchString(name) {
				return fmt.Errorf("%s is not a %s", quote(name), what)
			}
			if slices.Contains(list[:i], name) {
				return fmt.Errorf("%s stands twice in the list", quote(name))
			}
		}
		*field(c) = list
		return nil
	}}
}

// quote shows a value in an error, cut to a readable length.
func quote(text string) string {
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	return strconv.Quote(text)
}
