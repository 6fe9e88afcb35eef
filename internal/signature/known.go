package signature

import (
	"encoding/json"
	"math/big"
	"strings"
	"time"
)

// known is the name that a dotted name ends in, where what stands before is
// one of the modules that define types of that name; else "". Names of other
// modules may mean anything.
func known(dotted string) string {
	i := strings.LastIndexByte(dotted, '.')
	if i < 0 {
		return dotted
	}
	switch dotted[:i] {
	case "typing", "typing_extensions", "t", "collections", "collections.abc", "abc", "builtins", "datetime", "dt", "uuid", "pathlib", "types",
		"decimal", "dataclasses", "os", "pydantic":
		return dotted[i+1:]
	}
	return ""
}

// The formats of values that JSON has no word for, beside those of JSON Schema.
const (
	FormatDecimal = "decimal" // of a number
	FormatSeconds = "seconds" // of a number: a timedelta
	FormatPath    = "path"    // of a file, where the job runs
	FormatBytes   = "bytes"   // text in place of bytes
	FormatSecret  = "password"
)

// named is what a name without brackets says.
func named(dotted string) node {
	short := known(dotted)
	n := described(short)
	n.class, n.of = classOf(short)
	return n
}

// described is what a name without brackets says to JSON Schema.
func described(short string) node {
	if n, ok := plainNames(short); ok {
		return n
	}
	switch short {
	case "Decimal":
		return node{types: []string{"number", "string"}, format: FormatDecimal}
	case "timedelta":
		return node{types: []string{"number"}, format: FormatSeconds}
	case "PositiveInt", "NonNegativeInt", "PositiveFloat", "NonNegativeFloat":
		n := node{types: []string{"integer"}, bounds: []member{{"minimum", json.RawMessage("0")}}}
		if strings.HasSuffix(short, "Float") {
			n.types = []string{"number"}
		}
		if strings.HasPrefix(short, "Positive") {
			n.bounds[0].name = "exclusiveMinimum"
		}
		return n
	}
	if isList(short) || short == "tuple" || short == "Tuple" {
		return node{types: []string{"array"}}
	}
	if isDict(short) {
		return node{types: []string{"object"}}
	}
	return node{}
}

// plainNames are those that say a type, and a format of text at most.
func plainNames(short string) (node, bool) {
	text := func(format string) (node, bool) { return node{types: []string{"string"}, format: format}, true }
	switch short {
	case "int":
		return node{types: []string{"integer"}}, true
	case "float":
		return node{types: []string{"number"}}, true
	case "bool":
		return node{types: []string{"boolean"}}, true
	case "None", "NoneType":
		return node{types: []string{"null"}}, true
	case "str", "LiteralString", "AnyStr":
		return text("")
	case "Path", "PurePath", "PosixPath", "PurePosixPath", "PathLike", "FilePath", "DirectoryPath":
		return text(FormatPath)
	case "bytes", "bytearray", "ByteString":
		return text(FormatBytes)
	case "date":
		return text("date")
	case "datetime":
		return text("date-time")
	case "time":
		return text("time")
	case "UUID":
		return text("uuid")
	case "SecretStr", "SecretBytes":
		return text(FormatSecret)
	case "EmailStr":
		return text("email")
	case "HttpUrl", "AnyUrl", "AnyHttpUrl":
		return text("uri")
	}
	return node{}, false
}

// isList reports whether a value of a type comes as a list: JSON has no other
// for sets and tuples.
func isList(short string) bool {
	switch short {
	case "list", "List", "set", "Set", "frozenset", "FrozenSet", "Sequence", "MutableSequence", "MutableSet", "AbstractSet",
		"Iterable", "Collection", "deque", "Deque":
		return true
	}
	return false
}

func isDict(short string) bool {
	switch short {
	case "dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "DefaultDict":
		return true
	}
	return false
}

// constants is what Literal[arguments] says.
func constants(arguments []expression) node {
	var n node
	for _, e := range arguments {
		value, ok := constant(e)
		if !ok {
			return node{}
		}
		n.enum = append(n.enum, value)
	}
	n.enum, n.class = unique(n.enum), Constant
	return n
}

// made is the JSON text that stands for what a call of a well-known class
// makes, as far as JSON has one.
func made(e expression) (string, bool) {
	if e.items[0].kind != kindName {
		return "", false
	}
	given := e.items[1:]
	switch known(e.items[0].text) {
	case "list", "set", "frozenset", "tuple":
		return "[]", len(given) == 0
	case "dict":
		return "{}", len(given) == 0
	case "Path", "PurePath":
		if len(given) == 1 && given[0].kind == kindText {
			return quote(given[0].text), true
		}
	case "Decimal":
		return decimal(given)
	case "date":
		return onDay(given)
	case "time":
		return onClock(given)
	case "timedelta":
		return spanned(given)
	}
	return "", false
}

// decimal is the number of Decimal('1.50').
func decimal(given []expression) (string, bool) {
	if len(given) != 1 {
		return "", false
	}
	if given[0].kind != kindText {
		value, ok := constant(given[0])
		return value, ok && (kindOf(value) == "integer" || kindOf(value) == "number")
	}
	digits, negative := strings.CutPrefix(given[0].text, "-")
	value, ok := numeral(digits)
	if negative {
		value = "-" + value
	}
	return value, ok
}

// whole reads whole numbers, as many as there are arguments without names.
func whole(given []expression) ([]int, bool) {
	var numbers []int
	for _, e := range given {
		n, ok := new(big.Int).SetString(e.text, 10)
		if e.kind != kindNumber || !ok || !n.IsInt64() || n.Int64() > 9999 {
			return nil, false
		}
		numbers = append(numbers, int(n.Int64()))
	}
	return numbers, true
}

func onDay(given []expression) (string, bool) {
	n, ok := whole(given)
	if !ok || len(n) != 3 {
		return "", false
	}
	day := time.Date(n[0], time.Month(n[1]), n[2], 0, 0, 0, 0, time.UTC)
	return quote(day.Format(time.DateOnly)), day.Year() == n[0] && int(day.Month()) == n[1] && day.Day() == n[2]
}

func onClock(given []expression) (string, bool) {
	n, ok := whole(given)
	if !ok || len(n) == 0 || len(n) > 3 {
		return "", false
	}
	n = append(n, 0, 0)
	return quote(time.Date(2000, 1, 1, n[0], n[1], n[2], 0, time.UTC).Format(time.TimeOnly)), n[0] < 24 && n[1] < 60 && n[2] < 60
}

// spanned is the seconds of timedelta(hours=1, minutes=30).
func spanned(given []expression) (string, bool) {
	units := map[string]int64{
		"weeks": 7 * 86400e6, "days": 86400e6, "hours": 3600e6, "minutes": 60e6, "seconds": 1e6, "milliseconds": 1e3, "microseconds": 1,
	}
	total := new(big.Rat)
	for i, e := range given {
		unit, value := "", e
		switch {
		case e.kind == kindKeyword:
			unit, value = e.text, e.items[0]
		case i == 0:
			unit = "days"
		case i == 1:
			unit = "seconds"
		}
		text, ok := constant(value)
		n, read := new(big.Rat).SetString(text)
		if !ok || !read || units[unit] == 0 || len(text) > 20 || strings.ContainsAny(text, "eE") {
			return "", false
		}
		total.Add(total, n.Mul(n, new(big.Rat).SetInt64(units[unit])))
	}
	if total.Quo(total, big.NewRat(1e6, 1)); total.IsInt() {
		return total.Num().String(), true
	}
	return strings.TrimRight(total.FloatString(6), "0"), true
}
