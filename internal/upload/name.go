package upload

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds the name of a file in bytes: file systems take 255, and jobs
// like to append something.
const maxName = 120

// CleanName makes a name that every system takes for a plain file in a folder: the
// last part of a path, without what is not seen, what turns the direction of text,
// what systems forbid, and dots at its ends. A long one keeps its extension. What
// is clean stays as it is.
func CleanName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, !unicode.IsGraphic(r):
			return -1
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, name)
	name = trimmed(name)
	if device(name) {
		name = "_" + name
	}
	if len(name) > maxName {
		extension := filepath.Ext(name)
		if len(extension) > maxName/4 {
			extension = ""
		}
		name = trimmed(shortened(name, maxName-len(extension)) + extension)
	}
	if name == "" {
		return "file"
	}
	return name
}

// trimmed is a name without a dot in front, and without what Windows drops behind.
func trimmed(name string) string {
	return strings.TrimRight(strings.TrimLeft(name, ". "), ". ")
}

// shortened is the beginning of a text, whole characters only.
func shortened(text string, most int) string {
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// device reports whether Windows takes a name for a device, whatever its
// extension.
func device(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	stem = strings.TrimSpace(stem)
	if slices.Contains([]string{"CON", "PRN", "AUX", "NUL"}, stem) {
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9'
}
