package config

// Entry is an assignment of an INI file.
type Entry struct {
	Name, Value string
	Line        int
}

// ParseINI is parseINI, for tests of its own.
func ParseINI(data []byte) ([]Entry, error) {
	entries, err := parseINI(data)
	var list []Entry
	for _, e := range entries {
		list = append(list, Entry{e.name, e.value, e.line})
	}
	return list, err
}
