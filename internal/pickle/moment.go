package pickle

import "strconv"

// moment writes the instances of Python's datetime module, as builtin does.
func (p *printer) moment(class global, o *object) bool {
	if class.module != "datetime" {
		return false
	}
	switch class.name {
	case "datetime":
		return p.stamp(class, o.args, 4, 10)
	case "date":
		return p.stamp(class, o.args, 4, 4)
	case "time":
		return p.stamp(class, o.args, 0, 6)
	case "timedelta":
		return p.timedelta(o.args)
	case "timezone":
		return p.timezone(o.args)
	}
	return false
}

// stamp writes what is pickled as size bytes: year in two, month and day,
// together date bytes, then hour, minute, second and microsecond in three. The
// top bit of the month, or of the hour without a date, is the fold.
func (p *printer) stamp(class global, args []any, date, size int) bool {
	if len(args) == 0 || len(args) > 2 {
		return false
	}
	octets, ok := octetsOf(args[0], size+1)
	if !ok || len(octets) != size {
		return false
	}
	p.print("datetime." + class.name + "(")
	for i, field := range moments(octets, date) {
		if i > 0 {
			p.print(", ")
		}
		p.print(strconv.Itoa(field))
	}
	if octets[date/2]&0x80 != 0 {
		p.print(", fold=1")
	}
	if len(args) == 2 && args[1] != nil {
		p.print(", tzinfo=")
		p.node(args[1])
	}
	p.print(")")
	return true
}

// moments are the numbers of a stamp. Python shows neither a microsecond of 0
// nor, before one, a second of 0.
func moments(octets string, date int) []int {
	at := func(i int) int { return int(octets[i]) }
	var fields []int
	if date > 0 {
		fields = append(fields, at(0)<<8|at(1), at(2)&0x7f, at(3))
	}
	if len(octets) == date {
		return fields
	}
	fields = append(fields, at(date)&0x7f, at(date+1))
	second, micro := at(date+2), at(date+3)<<16|at(date+4)<<8|at(date+5)
	if second != 0 || micro != 0 {
		fields = append(fields, second)
	}
	if micro != 0 {
		fields = append(fields, micro)
	}
	return fields
}

func (p *printer) timedelta(args []any) bool {
	if len(args) != 3 {
		return false
	}
	p.print("datetime.timedelta(")
	written := 0
	for i, name := range []string{"days", "seconds", "microseconds"} {
		if args[i] == int64(0) {
			continue
		}
		if written++; written > 1 {
			p.print(", ")
		}
		p.print(name + "=")
		p.node(args[i])
	}
	if written == 0 {
		p.print("0")
	}
	p.print(")")
	return true
}

func (p *printer) timezone(args []any) bool {
	if len(args) == 0 || len(args) > 2 {
		return false
	}
	if len(args) == 1 && isZero(args[0]) {
		p.print("datetime.timezone.utc")
		return true
	}
	p.print("datetime.timezone(")
	p.list(args)
	p.print(")")
	return true
}

// isZero reports whether node is a timedelta of no length.
func isZero(node any) bool {
	o, ok := node.(*object)
	if !ok || o.class != (global{"datetime", "timedelta"}) || len(o.args) != 3 {
		return false
	}
	return o.args[0] == int64(0) && o.args[1] == int64(0) && o.args[2] == int64(0)
}
