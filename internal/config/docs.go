package config

import (
	"fmt"
	"strings"
)

// Markdown is docs/configuration.md, made of the table.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`<!-- Made by "go generate ./internal/config" from the table of settings. Do not edit. -->

# Configuration

` + "`distro up` reads `config.cfg` in the current folder, or the file named by `--config`" + `. An example stands in
the root of the repository. It is an INI file as Python's ` + "`configparser`" + ` reads it:

- ` + "`name = value` or `name: value`" + `; names in any case; the first ` + "`=` or `:`" + ` divides.
- A line that begins with ` + "`#` or `;`" + ` is a comment. Behind a value there is no comment.
- Sections are allowed, not needed, and mean nothing. A name may stand once in the file.
- Quotes, ` + "`%` and `\\`" + ` are part of the value.
- A line that is indented goes on with the value above it, which only lists may do.
- UTF-8, with or without a byte order mark; any line ends.

The environment variable ` + "`DISTRO_<NAME>`" + ` overrides the file, and a flag overrides both; an empty variable
counts as not set. A setting that is never shown may stand in a file: ` + "`DISTRO_<NAME>_FILE`" + ` names it, and its one
line is the value, as containers and service managers hand secrets over. Relative paths of the file are taken from its folder, those of variables and flags from the
current one. A name that is not in this table is refused, and so is a value that does not fit, with file and line.
What a job finds in its environment (` + "`DISTRO_JOB_ID`, `DISTRO_QUEUE`, `DISTRO_ATTEMPT`, `DISTRO_ARTIFACTS`" + `) is no setting.

`)
	b.WriteString("| name | meaning | value | default | flag of `distro up` |\n|---|---|---|---|---|\n")
	for _, s := range Settings() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n",
			code(s.Name), s.meaning(), s.Accepts, s.defaultCell(), code(s.flag()))
	}
	b.WriteString(`
Times are written as ` + "`90s`, `2h10m20s`, `30d` or `1d12h`" + `; a plain number counts seconds. Sizes are written as
` + "`256M` or `1G`" + `, in powers of 1024; a plain number counts bytes.

Of history and output the oldest goes as soon as one of their limits is passed, and never what belongs to a job that
runs. What goes of history leaves room in its database for what comes; the file of SQLite does not get smaller.
`)
	return b.String()
}

// Help is the table for the terminal.
func Help() string {
	var b strings.Builder
	for _, s := range Settings() {
		fmt.Fprintf(&b, "  %-21s %s\n", s.Name, strings.ReplaceAll(s.Default, "`", ""))
	}
	return b.String()
}

func (s Setting) meaning() string {
	text := s.Meaning
	if s.Alias != "" {
		text += "; " + code(s.Alias) + " is another name for it"
	}
	if s.Secret {
		text += "; never shown"
	}
	return text
}

func (s Setting) defaultCell() string {
	if s.initial != "" && s.Default == s.initial {
		return code(s.Default)
	}
	return s.Default
}

func (s Setting) flag() string {
	if s.Flag == "" {
		return ""
	}
	return "--" + s.Flag
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
