"""Lists the functions of Python files without importing them.

A long-lived process of the target interpreter. A request is a length (four
bytes, big endian) and the bytes of one file; the answer is a length and a JSON
object in the words of Distro's type Module. Before the first request there is
an empty answer, which says that the process is ready. It ends with its input.
"""

import ast
import gc
import json
import signal
import struct
import sys
import warnings

READY = struct.pack(">I", 0)
MEMORY = 512 << 20  # bytes of address space; a file that needs more is refused
MAX_ANSWER = 8 << 20  # bytes
MAX_DOC = 16 << 10  # characters of a docstring
MAX_SOURCE = 1000  # characters of a default, an annotation or a decorator
MAX_TYPES = 200  # of a module
MAX_MEMBERS = 200  # of a type


class Imported:
    """Stands for a name that is bound by an import."""


def limit_memory():
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, OSError, ValueError):
        pass  # Windows has no such limit, macOS refuses it


def cut(text, limit):
    return text if len(text) <= limit else text[: limit - 1] + "…"


def source(node):
    try:
        return cut(ast.unparse(node), MAX_SOURCE)
    except Exception:  # what is nested too deeply, or that unparse cannot write
        return "…"


def doc(node):
    return cut(ast.get_docstring(node) or "", MAX_DOC)


def runs_on_import(test):
    """Tells `if` conditions that hold in a job from the two that never do."""
    text = source(test) if isinstance(test, (ast.Compare, ast.Name, ast.Attribute)) else ""
    return text not in ("__name__ == '__main__'", "'__main__' == __name__", "TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(body):
    """Yields the statements of a body and of the blocks in it, in their order.

    Bodies of functions and classes are not entered.
    """
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        inner = []
        for block in ("body", "cases", "handlers", "orelse", "finalbody"):
            if block == "body" and isinstance(node, ast.If) and not runs_on_import(node.test):
                continue
            inner.extend(getattr(node, block, ()))
        waiting.extend(reversed(inner))


def assigned(node):
    """Yields the names that an assignment or a del statement binds anew."""
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = node.targets
    elif isinstance(node, ast.AugAssign) or (isinstance(node, ast.AnnAssign) and node.value):
        targets = [node.target]
    else:
        return
    for target in targets:
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
                yield part.id


def wraps(node, name):
    """Tells whether the statement is `name = decorator(name, …)`."""
    call = getattr(node, "value", None)
    return isinstance(call, ast.Call) and any(isinstance(a, ast.Name) and a.id == name for a in call.args)


def bindings(body):
    """Maps the names that a module or class binds to what binds them last.

    That is a def or class statement, or Imported. Names bound to anything else
    are missing: nobody can say what they will be.
    """
    bound = {}
    for node in statements(body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound[node.name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                bound[alias.asname or alias.name.split(".")[0]] = Imported
        for name in assigned(node):
            was = bound.get(name)
            if wraps(node, name) and isinstance(was, (ast.FunctionDef, ast.AsyncFunctionDef)):
                was.decorator_list.insert(0, node.value.func)
            else:
                bound.pop(name, None)
    return bound


def parameters(args):
    listed = []

    def add(arg, kind, default=None):
        listed.append(
            {
                "Name": arg.arg,
                "Kind": kind,
                "Annotation": source(arg.annotation) if arg.annotation else "",
                "Default": source(default) if default else None,
            }
        )

    positional = [(arg, "POSITIONAL_ONLY") for arg in args.posonlyargs]
    positional += [(arg, "POSITIONAL_OR_KEYWORD") for arg in args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + args.defaults
    for (arg, kind), default in zip(positional, defaults):
        add(arg, kind, default)
    if args.vararg:
        add(args.vararg, "VAR_POSITIONAL")
    for arg, default in zip(args.kwonlyargs, args.kw_defaults):
        add(arg, "KEYWORD_ONLY", default)
    if args.kwarg:
        add(args.kwarg, "VAR_KEYWORD")
    return listed


def function(name, node):
    return {
        "Name": name,
        "Doc": doc(node),
        "Line": node.lineno,
        "Async": isinstance(node, ast.AsyncFunctionDef),
        "Decorators": [source(d) for d in node.decorator_list],
        "Parameters": parameters(node.args),
        "Returns": source(node.returns) if node.returns else "",
    }


def is_static(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
        isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list
    )


def functions(bound):
    for name, node in bound.items():
        if name.startswith("_"):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield function(name, node)
        elif isinstance(node, ast.ClassDef):
            for method, inner in bindings(node.body).items():
                if not method.startswith("_") and is_static(inner):
                    yield function(name + "." + method, inner)


def last_name(node):
    """Returns the last part of a dotted name, which may be called or subscripted."""
    while isinstance(node, (ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def enum_members(node, kind):
    """Yields the members of an enumeration; those of auto() as Python numbers them."""
    number = 0
    for part in node.body:
        if not isinstance(part, ast.Assign) or not isinstance(part.targets[0], ast.Name):
            continue
        name, value = part.targets[0].id, part.value
        if name.startswith("_"):
            continue
        if isinstance(value, ast.Call) and last_name(value) == "auto":
            number += 1
            value = ast.Constant(name.lower() if kind == "StrEnum" else number)
        elif isinstance(value, ast.Constant) and type(value.value) is int:
            number = value.value
        yield {"Name": name, "Default": source(value)}


def standard_of(call):
    """Returns the source of the default that a call of field() or Field() gives, or None."""
    for word in call.keywords:
        if word.arg == "default":
            return source(word.value)
        if word.arg in ("default_factory", "factory"):
            made = {"list": "[]", "dict": "{}", "set": "[]", "tuple": "[]", "str": "''", "int": "0"}
            return made.get(source(word.value), source(word.value) + "()")
    if call.args and not (isinstance(call.args[0], ast.Constant) and call.args[0].value is ...):
        return source(call.args[0])
    return None


def word_of(call, name):
    """Returns the constant that a call gives a keyword argument, or None."""
    given = [word.value for word in call.keywords if word.arg == name]
    return given[0].value if given and isinstance(given[0], ast.Constant) else None


def record_fields(node, total):
    """Yields the fields of a class that is made of annotations, by the names that making one takes."""
    for part in node.body:
        if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
            continue
        name, annotation, standard = part.target.id, source(part.annotation), None
        kind = last_name(part.annotation)
        if name.startswith("_") or kind in ("ClassVar", "KW_ONLY"):
            continue
        if isinstance(part.value, ast.Call) and last_name(part.value) in ("field", "Field", "attrib", "ib"):
            if word_of(part.value, "init") is False:
                continue
            for alias in ("alias", "validation_alias"):
                given = word_of(part.value, alias)
                name = given if isinstance(given, str) and given.isidentifier() else name
            standard = standard_of(part.value)
            if last_name(part.value) == "Field":
                annotation = cut("Annotated[{}, {}]".format(annotation, source(part.value)), MAX_SOURCE)
        elif part.value is not None:
            standard = source(part.value)
        elif kind == "NotRequired" or (not total and kind != "Required"):
            standard = "..."
        yield {"Name": name, "Annotation": annotation, "Default": standard}


ENUMS = ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
RECORDS = ("TypedDict", "NamedTuple", "BaseModel", "BaseSettings", "Struct")
DATACLASSES = ("dataclass", "define", "frozen", "attrs", "s", "attributes")


def declared(node, known):
    """Describes a class whose values are known from its source, or returns None."""
    bases = [last_name(base) for base in node.bases]
    inherited = [known[base] for base in bases if base in known]
    enum = next((base for base in bases if base in ENUMS), "")
    if enum or any(base["Kind"] == "ENUM" for base in inherited):
        fields = list(enum_members(node, enum))
        return {"Kind": "ENUM", "Name": node.name, "Fields": fields[:MAX_MEMBERS]} if fields else None
    record = any(base in RECORDS for base in bases) or any(last_name(d) in DATACLASSES for d in node.decorator_list)
    if not record and not any(base["Kind"] == "RECORD" for base in inherited):
        return None
    total = not any(w.arg == "total" and source(w.value) == "False" for w in node.keywords)
    fields = {}
    for base in reversed(inherited):
        fields.update((field["Name"], field) for field in base["Fields"])
    fields.update((field["Name"], field) for field in record_fields(node, total))
    keys = "TypedDict" in bases or any(base["Kind"] == "RECORD" and not base["Class"] for base in inherited)
    listed = list(fields.values())[:MAX_MEMBERS]
    return {"Kind": "RECORD", "Name": node.name, "Doc": doc(node), "Fields": listed, "Class": not keys}


GENERICS = (
    "Annotated", "Dict", "FrozenSet", "Iterable", "List", "Literal", "Mapping", "Optional", "Sequence", "Set", "Tuple", "Union",
    "dict", "frozenset", "list", "set", "tuple",
)


def alias_of(node):
    """Returns the name and the source of a type that an assignment names, or None."""
    if type(node).__name__ == "TypeAlias":  # since Python 3.12
        return node.name.id, source(node.value)
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    value = getattr(node, "value", None)
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or not isinstance(target, ast.Name) or target.id.startswith("_"):
        return None
    if isinstance(value, ast.Call) and last_name(value) == "NewType" and len(value.args) == 2:
        return target.id, source(value.args[1])
    union = isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)
    if union or (isinstance(value, ast.Subscript) and last_name(value) in GENERICS):
        return target.id, source(value)
    return None


def types(body):
    """Lists the types of a module that annotations of it may name, in their order."""
    known = {}
    for node in statements(body):
        if isinstance(node, ast.ClassDef):
            described = declared(node, known)
            if described:
                known[node.name] = described
        else:
            named = alias_of(node)
            if named:
                known[named[0]] = {"Kind": "ALIAS", "Name": named[0], "Of": named[1]}
        if len(known) == MAX_TYPES:
            break
    return list(known.values())


def unreadable(message, line=1, column=1, text=""):
    problem = {"Message": message, "Line": max(line or 1, 1), "Column": max(column or 1, 1), "Text": text}
    return {"Error": problem}


def describe(code):
    try:
        tree = ast.parse(code)
        # Some errors are found by the compiler only, like a return outside of
        # a function.
        compile(tree, "<module>", "exec", dont_inherit=True)
        bound = bindings(tree.body)
        return {
            "Doc": doc(tree),
            "Functions": sorted(functions(bound), key=lambda f: f["Line"]),
            "Imported": sorted(name for name, what in bound.items() if what is Imported),
            "Types": types(tree.body) or None,
        }
    except SyntaxError as error:
        text = cut((error.text or "").strip("\r\n"), 200)
        return unreadable(cut(error.msg or "invalid syntax", 500), error.lineno, error.offset, text)
    except (RecursionError, MemoryError):
        return unreadable("the file is too large or too deeply nested to be read")
    except Exception as error:  # whatever a hostile file makes the parser raise
        if b"\0" in code:
            return unreadable("source code cannot contain null bytes", code.count(b"\n", 0, code.index(b"\0")) + 1)
        return unreadable(cut("{}: {}".format(type(error).__name__, error), 500))


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    warnings.simplefilter("ignore")
    gc.set_threshold(1000000)  # trees have no cycles, and looking for some takes longer than parsing
    limit_memory()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(READY)
    answers.flush()
    while True:
        head = requests.read(4)
        if len(head) < 4:
            return
        (size,) = struct.unpack(">I", head)
        code = requests.read(size)
        if len(code) < size:
            return
        answer = json.dumps(describe(code)).encode("ascii")
        if len(answer) > MAX_ANSWER:
            answer = json.dumps(unreadable("the file has too many functions to be listed")).encode("ascii")
        answers.write(struct.pack(">I", len(answer)) + answer)
        answers.flush()


main()
