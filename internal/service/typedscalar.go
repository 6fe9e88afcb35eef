package service

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// maxNumber bounds the text of a Decimal or a timedelta, in bytes.
const maxNumber = 4300

var (
	wholePattern   = regexp.MustCompile(`^-?[0-9]+$`)
	decimalPattern = regexp.MustCompile(`^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?|Infinity|NaN)$`)
	spanPattern    = regexp.MustCompile(`^-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?$`)
)

func isWhole(text []byte) bool { return len(text) <= maxNumber && wholePattern.Match(text) }

// scalarOf makes a value that has no parts; ok is false where the text does not
// fit.
func scalarOf(t signature.Type, text []byte) (v any, ok bool) {
	switch kind := jsonscan.KindOf(text); t.Class {
	case signature.Null:
		return nil, kind == jsonscan.Null
	case signature.Bool:
		return pickle.JSON(text), kind == jsonscan.Bool
	case signature.Int:
		return pickle.JSON(text), isWhole(text)
	case signature.Float:
		if kind != jsonscan.Number {
			return nil, false
		}
		f, err := strconv.ParseFloat(string(text), 64)
		return f, err == nil || !isWhole(text) // as json.loads, which is infinite beyond the range
	case signature.Decimal:
		number := string(text)
		if kind == jsonscan.String {
			number = jsonscan.Text(text)
		}
		ok := len(number) <= maxNumber && decimalPattern.MatchString(number)
		return pickle.Made{Module: "decimal", Name: "Decimal", Args: pickle.Tuple{number}}, ok
	case signature.Timedelta:
		if kind != jsonscan.Number {
			return nil, false
		}
		return timedelta(string(text))
	default:
		if kind != jsonscan.String {
			return nil, false
		}
		return textOf(t, text)
	}
}

// textOf makes a value that JSON has as text.
func textOf(t signature.Type, quoted []byte) (v any, ok bool) {
	if t.Class == signature.Text {
		return pickle.JSON(quoted), true // half of a surrogate pair too
	}
	text := jsonscan.Text(quoted)
	switch t.Class {
	case signature.Bytes, signature.ByteArray:
		octets, ok := octetsOf(text)
		if t.Class == signature.ByteArray {
			return pickle.Made{Module: "builtins", Name: "bytearray", Args: pickle.Tuple{octets}}, ok
		}
		return octets, ok
	case signature.Date:
		day, err := time.Parse(time.DateOnly, text)
		return pickle.Made{Module: "datetime", Name: "date", Args: pickle.Tuple{dateOctets(day)}}, err == nil && day.Year() > 0
	case signature.DateTime:
		return moment(text)
	case signature.Time:
		return clock(text)
	case signature.UUID:
		return uuidOf(text)
	case signature.Path:
		return pickle.Made{Module: "pathlib", Name: t.Name, Args: pickle.Tuple{text}}, !strings.Contains(text, "\x00")
	case signature.Secret:
		return secretOf(t.Name, text)
	default:
		return nil, false
	}
}

// secretOf is a value of one of pydantic's types of secrets.
func secretOf(name, text string) (any, bool) {
	if name != "SecretBytes" {
		return pickle.Made{Module: "pydantic", Name: name, Args: pickle.Tuple{text}}, true
	}
	octets, ok := octetsOf(text)
	return pickle.Made{Module: "pydantic", Name: name, Args: pickle.Tuple{octets}}, ok
}

// uuidOf is a UUID, with hyphens or without.
func uuidOf(text string) (any, bool) {
	digits, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(digits) != 16 || len(text) != 36 && len(text) != 32 {
		return nil, false
	}
	d := hex.EncodeToString(digits)
	canonical := strings.Join([]string{d[:8], d[8:12], d[12:16], d[16:20], d[20:]}, "-")
	return pickle.Made{Module: "uuid", Name: "UUID", Args: pickle.Tuple{canonical}}, true
}

// octetsOf are the bytes that a text stands for: itself in UTF-8, or what a URL
// data:…;base64,… holds.
func octetsOf(text string) ([]byte, bool) {
	head, rest, found := strings.Cut(text, ";base64,")
	if !found || !strings.HasPrefix(head, "data:") {
		return []byte(text), true
	}
	octets, err := base64.StdEncoding.DecodeString(rest)
	return octets, err == nil
}

// clockLayouts are the ways in which RFC 3339 and ISO 8601 write a time of day.
func clockLayouts() []string {
	return []string{"15:04:05.999999", "15:04", "15:04:05.999999Z07:00", "15:04Z07:00"}
}

// moment is a datetime: aware, with a fixed offset, where the text has one.
func moment(text string) (any, bool) {
	day, clock, found := strings.Cut(strings.Replace(text, " ", "T", 1), "T")
	if !found {
		return nil, false
	}
	for _, layout := range clockLayouts() {
		at, err := time.Parse(time.DateOnly+"T"+layout, day+"T"+clock)
		if err != nil || at.Year() < 1 || !expressible(at) {
			continue
		}
		args := pickle.Tuple{append(dateOctets(at), clockOctets(at)...)}
		if strings.HasSuffix(layout, "Z07:00") {
			args = append(args, zoneOf(at))
		}
		return pickle.Made{Module: "datetime", Name: "datetime", Args: args}, true
	}
	return nil, false
}

// clock is a time of day.
func clock(text string) (any, bool) {
	for _, layout := range clockLayouts() {
		at, err := time.Parse(layout, text)
		if err != nil || !expressible(at) {
			continue
		}
		args := pickle.Tuple{clockOctets(at)}
		if strings.HasSuffix(layout, "Z07:00") {
			args = append(args, zoneOf(at))
		}
		return pickle.Made{Module: "datetime", Name: "time", Args: args}, true
	}
	return nil, false
}

// expressible reports whether Python has such a time: its offset is less than a
// day, and it counts microseconds.
func expressible(at time.Time) bool {
	_, offset := at.Zone()
	return at.Nanosecond()%1000 == 0 && offset > -86400 && offset < 86400
}

func dateOctets(at time.Time) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(at.Year())), byte(at.Month()), byte(at.Day()))
}

func clockOctets(at time.Time) []byte {
	micro := at.Nanosecond() / 1000
	return []byte{byte(at.Hour()), byte(at.Minute()), byte(at.Second()), byte(micro >> 16), byte(micro >> 8), byte(micro)}
}

// zoneOf is the offset of a time as a timezone of Python, which every worker
// has: the names of zones need a database that some lack.
func zoneOf(at time.Time) pickle.Made {
	_, offset := at.Zone()
	span, _ := timedelta(strconv.Itoa(offset)) // a whole number always fits
	return pickle.Made{Module: "datetime", Name: "timezone", Args: pickle.Tuple{span}}
}

// timedelta is a length of seconds, rounded to microseconds as Python rounds.
func timedelta(text string) (any, bool) {
	if !spanPattern.MatchString(text) {
		return nil, false
	}
	span, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, false
	}
	micros := roundEven(span.Mul(span, big.NewRat(1e6, 1)))
	days, rest := new(big.Int).DivMod(micros, big.NewInt(86400e6), new(big.Int))
	seconds, micro := rest.Int64()/1e6, rest.Int64()%1e6
	if !days.IsInt64() || math.Abs(float64(days.Int64())) > 999_999_999 {
		return nil, false
	}
	return pickle.Made{Module: "datetime", Name: "timedelta", Args: pickle.Tuple{days.Int64(), seconds, micro}}, true
}

// roundEven is the whole number next to v, of two the even one.
func roundEven(v *big.Rat) *big.Int {
	twice := new(big.Rat).Mul(v, big.NewRat(2, 1))
	floor, rest := new(big.Int).DivMod(v.Num(), v.Denom(), new(big.Int))
	up := new(big.Int).Add(floor, big.NewInt(1))
	half := twice.IsInt() && rest.Sign() != 0
	switch {
	case half && floor.Bit(0) == 0:
		return floor
	case half:
		return up
	case new(big.Int).Lsh(rest, 1).Cmp(v.Denom()) > 0:
		return up
	}
	return floor
}

func jsonText(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil { // text always encodes
		return []byte(`""`)
	}
	return quoted
}

// wanted says what text or number makes a value of a type.
func wanted(t signature.Type) string {
	switch t.Class {
	case signature.Null:
		return "null"
	case signature.Bool:
		return "true or false"
	case signature.Int:
		return "a number without a fraction"
	case signature.Float:
		return "a number"
	case signature.Decimal:
		return "a number, or one in a text, like 10.50"
	case signature.Timedelta:
		return "a number of seconds"
	case signature.Date:
		return "a date like 2026-10-31"
	case signature.DateTime:
		return "a moment like 2026-10-31T08:00:00-03:00"
	case signature.Time:
		return "a time of day like 08:30"
	case signature.UUID:
		return "a UUID"
	case signature.Bytes, signature.ByteArray:
		return "a text, or a URL like data:;base64,AAEC"
	default:
		return "a text"
	}
}

// listed are the values of an enumeration, for people.
func listed(members []signature.Member) string {
	values := make([]string, len(members))
	for i, m := range members {
		values[i] = m.Value
	}
	return joinedUpTo(values)
}

// joinedUpTo lists a few values.
func joinedUpTo(values []string) string {
	const most = 20
	if len(values) > most {
		return strings.Join(values[:most], ", ") + ", …"
	}
	return strings.Join(values, ", ")
}
