package signature

import (
	"github.com/distro-orchestrator/distro"
)

// Class is what kind of Python value an annotation asks for.
type Class string

// The classes. Of the zero one a value may be of any.
const (
	Any       Class = ""
	Int       Class = "int"
	Float     Class = "float"
	Bool      Class = "bool"
	Null      Class = "None"
	Text      Class = "str"
	Bytes     Class = "bytes"
	ByteArray Class = "bytearray"
	Date      Class = "date"
	DateTime  Class = "datetime"
	Time      Class = "time"
	Timedelta Class = "timedelta"
	Decimal   Class = "Decimal"
	UUID      Class = "UUID"
	Path      Class = "Path"   // Type.Name is the one of pathlib
	Secret    Class = "Secret" // Type.Name is the one of pydantic
	List      Class = "list"
	Tuple     Class = "tuple"
	Set       Class = "set"
	Frozenset Class = "frozenset"
	Deque     Class = "deque"
	Dict      Class = "dict"
	Enum      Class = "enum"    // a member of the class that Type.Name names
	Record    Class = "record"  // made by calling the class that Type.Name names with its fields
	Keys      Class = "keys"    // a dict with the keys of the class that Type.Name names
	Constant  Class = "literal" // one of Type.Constants
	Union     Class = "union"   // of one of Type.Choices
)

// Type is what Python value an annotation asks for, and of what it is made.
type Type struct {
	Class     Class
	Name      string
	Items     *Type    // elements of a sequence or values of a dict; nil: any
	Keys      *Type    // of a dict; nil: any
	Elements  []Type   // of a tuple of just so many
	Exact     bool     // Elements count, even where there are none
	Members   []Member // of an enumeration
	Constants []string // JSON texts
	Choices   []Type
}

// Member is a member of an enumeration, with the JSON text of its value.
type Member struct{ Name, Value string }

// Field is a field of a record.
type Field struct {
	Name     string
	Type     Type
	Required bool
}

// Plan knows what values the annotations of a module ask for. It must not be
// used concurrently.
type Plan struct {
	reader *reader
	fields map[string][]Field
}

// NewPlan returns a plan of a module that declares these types.
func NewPlan(types []distro.Type) *Plan {
	r := newReader(types)
	r.lazy = true
	return &Plan{r, map[string][]Field{}}
}

// Parameter is the type of what a parameter takes, its default included: of each
// of the arguments of *args and **kwargs.
func (p *Plan) Parameter(parameter distro.Parameter) Type {
	p.reader.budget = maxNodes
	return p.reader.field(parameter, maxDepth).node.plan(maxDepth)
}

// Fields are those of a record, which may be of its own type again.
func (p *Plan) Fields(record string) []Field {
	if list, known := p.fields[record]; known {
		return list
	}
	list := []Field{}
	for _, f := range p.reader.types[record].Fields {
		list = append(list, Field{f.Name, p.Parameter(f), f.Default == nil})
	}
	p.fields[record] = list
	return list
}

// plan is n as a Type.
func (n node) plan(depth int) Type {
	t := Type{Class: n.class, Name: n.of, Members: n.members, Exact: n.exact}
	if depth == 0 {
		return Type{}
	}
	inner := func(n *node) *Type {
		if n == nil {
			return nil
		}
		t := n.plan(depth - 1)
		return &t
	}
	t.Items, t.Keys = inner(n.items), inner(n.keys)
	if n.class == Dict {
		t.Items = inner(n.values)
	}
	for i := range n.tuple {
		t.Elements = append(t.Elements, n.tuple[i].plan(depth-1))
	}
	for i := range n.choices {
		t.Choices = append(t.Choices, n.choices[i].plan(depth-1))
	}
	if n.class == Constant {
		t.Constants = n.enum
	}
	return t
}

// widened is n where it takes a value, else n and what has the kind of the value.
func (n node) widened(value string) node {
	kind := kindOf(value)
	if n.takes(value, kind) {
		return n
	}
	class := map[string]Class{"string": Text, "array": List, "object": Dict, "boolean": Bool, "null": Null, "number": Float, "integer": Int}[kind]
	return union([]node{n, {types: []string{kind}, class: class}})
}

// classOf is the class that a name without its module means, and its own name
// where there are several of the class.
func classOf(short string) (Class, string) {
	switch short {
	case "int", "float", "bool", "bytearray", "date", "datetime", "time", "timedelta", "Decimal", "UUID", "list", "set", "frozenset", "dict", "tuple":
		return Class(short), ""
	case "None", "NoneType":
		return Null, ""
	case "str", "LiteralString", "AnyStr", "EmailStr":
		return Text, ""
	case "bytes", "ByteString":
		return Bytes, ""
	case "SecretStr", "SecretBytes":
		return Secret, short
	case "Path", "PurePath", "PosixPath", "PurePosixPath":
		return Path, short
	case "PathLike", "FilePath", "DirectoryPath":
		return Path, "Path"
	case "Tuple":
		return Tuple, ""
	case "Set", "MutableSet", "AbstractSet":
		return Set, ""
	case "FrozenSet":
		return Frozenset, ""
	case "deque", "Deque":
		return Deque, ""
	}
	return wideClass(short), ""
}

// wideClass is the class of names that mean several things.
func wideClass(short string) Class {
	switch {
	case isList(short):
		return List
	case isDict(short):
		return Dict
	case short == "PositiveInt", short == "NonNegativeInt": // of pydantic
		return Int
	case short == "PositiveFloat", short == "NonNegativeFloat":
		return Float
	}
	return Any
}
