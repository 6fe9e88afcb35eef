"""Imports of files under modules_path: always as they are now, without
__pycache__, from compiled code of the zygote where that is still true."""

import io
import os
import sys
import time
from importlib import machinery

MAX_SOURCES = 64

# A file changed this shortly before it was read may change again without a
# change of its time stamp: file systems stamp with the granularity of a tick.
RACY_NS = 50_000_000


class Compiled:
    """Code objects of files under modules_path, by path and stamp.

    The zygote fills it (see remember) and never runs what it holds; processes
    of jobs inherit it and look up only.
    """

    def __init__(self):
        self.codes = {}
        self.missed = []

    def get(self, path, stat):
        entry = self.codes.get(path)
        if entry is not None and entry[0] == stamp(stat):
            return entry[1]
        if len(self.missed) < MAX_SOURCES:
            self.missed.append(path)
        return None

    def remember(self, path):
        try:
            with io.FileIO(path) as file:
                stat = os.fstat(file.fileno())
                if racy(stat) or stat.st_size > 1 << 20 or len(self.codes) > 4000:
                    return
                source = file.read()
            self.codes[path] = (stamp(stat), compile(source, path, "exec", dont_inherit=True))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            self.codes.pop(path, None)


def stamp(stat):
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def racy(stat):
    return time.time_ns() - stat.st_mtime_ns < RACY_NS


class Loader(machinery.SourceFileLoader):
    """Loads sources under modules_path without __pycache__."""

    compiled = Compiled()
    loaded = {}  # path -> (stamp, source where the stamp cannot be trusted)

    def get_code(self, fullname):
        path = self.path
        stat = os.stat(path)
        code = self.compiled.get(path, stat)
        source = None
        if code is None:
            source = self.get_data(path)
            code = self.source_to_code(source, path)
            if not racy(stat):
                source = None
        self.loaded[path] = (stamp(stat), source)
        return code

    @classmethod
    def stale(cls):
        """Reports whether a loaded file is not what it was when it was loaded."""
        for path, (then, source) in cls.loaded.items():
            try:
                stat = os.stat(path)
                if stamp(stat) != then:
                    return True
                if source is not None and not racy(stat):
                    with io.FileIO(path) as file:
                        if file.read() != source:
                            return True
                    cls.loaded[path] = (then, None)
            except OSError:
                return True
        return False


class Alias:
    """Finds <folder>.module as module, for producers that import the folder
    of the automations as a package; both names are one module object."""

    def __init__(self, root):
        self.name = os.path.basename(root)
        self.init = os.path.join(root, "__init__.py")
        self.prefix = self.name + "."

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name:
            if not os.path.isfile(self.init):
                return None
            spec = machinery.ModuleSpec(fullname, Loader(fullname, self.init), origin=self.init, is_package=True)
            spec.has_location = True
            return spec
        if fullname.startswith(self.prefix) and self.name in sys.modules:
            return machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec):
        import importlib

        module = importlib.import_module(spec.name[len(self.prefix):])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = module.__spec__.loader_state


def install(root, more=()):
    """Puts modules_path first on sys.path, more folders last, and the sources
    of modules_path under Loader."""

    def hook(path):
        inside = path == root or path.startswith(root + os.sep)
        if not inside or "site-packages" in path[len(root):]:
            raise ImportError
        return machinery.FileFinder(
            path,
            (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
            (Loader, machinery.SOURCE_SUFFIXES),
        )

    sys.path_hooks.insert(0, hook)
    for path in list(sys.path_importer_cache):
        if path.startswith(root):
            del sys.path_importer_cache[path]
    sys.path[:] = [root] + [path for path in sys.path if path not in ("", root)]
    sys.path += [path for path in more if path not in sys.path]
    sys.meta_path.append(Alias(root))
