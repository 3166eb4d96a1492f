"""Checks that need the compiler's view: clang-tidy, that every header compiles alone, and that GCC takes the tests. Clean
results are remembered by a hash of all that they depend on: the file, the headers of ours below it, the command, the rules
and the tool."""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

UNITY = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)
INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
CLANG = "clang++-19"
GCC = "g++"
TIDY = "clang-tidy-19"
FAULTS = "tests/lint/faults/faults.cc"


def _made_from(name):
    """The .proto of a generated header."""
    generated = re.fullmatch(r"(.*?)(\.grpc)?\.pb\.h", name)
    return f"proto/{generated.group(1)}.proto" if generated else name


class Tree:
    """File contents and the headers of ours that each file reaches."""

    def __init__(self, root):
        self.root, self._direct, self._hash = root, {}, {}

    def _read(self, path):
        if path not in self._direct:
            data = (self.root / path).read_bytes()
            self._hash[path] = hashlib.sha256(data).digest()
            names = (_made_from(name.decode()) for name in INCLUDE.findall(data))
            self._direct[path] = [name for name in names if (self.root / name).is_file()]
        return self._direct[path]

    def digest(self, paths, *more):
        """A hash over `paths`, what they reach, and `more`."""
        seen, waiting = set(), list(paths)
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += self._read(current)
        total = hashlib.sha256()
        for name in sorted(seen):
            total.update(name.encode() + b"\0" + self._hash[name])
        for text in more:
            total.update(b"\0" + text.encode())
        return total.hexdigest()


class Memory:
    """Which digests were clean."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def knows(self, digest):
        return (self.folder / digest).exists()

    def add(self, digest):
        (self.folder / digest).touch()


def _units(root, build):
    """What the compiler reads at once: (file, its sources in the repository, its command). A unity file has many sources."""
    with open(build / "compile_commands.json", encoding="utf-8") as text:
        for one in json.load(text):
            path = pathlib.Path(one["file"])
            if "/Unity/" in one["file"]:
                sources = [pathlib.Path(name) for name in UNITY.findall(path.read_text(encoding="utf-8"))]
            else:
                sources = [path]
            inside = [str(source.relative_to(root)) for source in sources
                      if source.is_relative_to(root) and not source.is_relative_to(build)]
            if inside:
                yield path, inside, one["command"]


def _commands(root, build):
    """Path in the repository to the command of the unit that it belongs to."""
    return {source: command for _, sources, command in _units(root, build) for source in sources}


def _flags(command):
    """The flags that matter to the front end: no compiler, no input, no output."""
    words, flags = iter(shlex.split(command)[1:]), []
    for word in words:
        if word == "-isystem":
            flags += [word, next(words)]
        elif word.startswith(("-I", "-D", "-std", "-f", "-W")):
            flags.append(word)
    return flags


def _version(tool):
    return subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout


def _portable(text, root, build):
    return text.replace(str(build), "BUILD").replace(str(root), "ROOT")


def _run_all(jobs, tasks):
    """Runs (name, digest, command) tasks side by side; (name, digest, status, output) as they end."""
    def run(task):
        name, digest, command = task
        result = subprocess.run(command, capture_output=True, text=True)
        return name, digest, result.returncode, result.stdout + result.stderr
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(run, tasks)


def _check(memory, tasks, jobs, what):
    waiting = [task for task in tasks if not memory.knows(task[1])]
    print(f"{what}: {len(tasks) - len(waiting)} files known to be clean, {len(waiting)} to look at", flush=True)
    findings = []
    for done, (name, digest, status, output) in enumerate(_run_all(jobs, waiting), 1):
        wrong = sorted({line for line in output.splitlines() if ": error:" in line or ": warning:" in line})
        if status == 0 and not wrong:
            memory.add(digest)
        else:
            findings += wrong or [f"{name}: {output.strip()[-500:] or 'failed'}"]
        if done % 20 == 0:
            print(f"{what}: {done} of {len(waiting)}", flush=True)
    return sorted(set(findings))


def headers(root, paths, options):
    """Headers that do not compile alone. One that its own .cc includes first is shown to by that .cc."""
    tree, memory = Tree(root), Memory(options.cache / "headers")
    commands = _commands(root, options.build)
    folders = {}
    for source, command in commands.items():
        folders.setdefault(str(pathlib.Path(source).parent), command)
    tasks, findings = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for path in paths:
            if path.startswith("tests/lint/") or (options.files and path not in options.files) or _first_in_own_source(root, path, commands):
                continue
            command = _nearest(folders, path)
            if command is None:
                findings.append(f"{path}: nothing in its folder is compiled, so it cannot be checked")
                continue
            flags = _flags(command)
            source = pathlib.Path(scratch) / (path.replace("/", "_") + ".cc")
            source.write_text(f'#include "{path}"\n#include "{path}"\n', encoding="utf-8")
            digest = tree.digest([path], _portable(" ".join(flags), root, options.build), _version(CLANG))
            tasks.append((path, digest, [CLANG, *flags, "-fsyntax-only", str(source)]))
        return findings + _check(memory, tasks, options.jobs, "headers")


def _first_in_own_source(root, path, commands):
    source = path[:-2] + ".cc"
    if source not in commands:
        return False
    names = INCLUDE.findall((root / source).read_bytes())
    text = (root / source).read_text(encoding="utf-8")
    first = re.search(r'^\s*#\s*include\s+(["<][^">]+)', text, re.MULTILINE)
    return bool(names) and first is not None and first.group(1) == f'"{path}'


def _nearest(folders, path):
    for parent in pathlib.PurePath(path).parents:
        inside = [command for folder, command in folders.items() if folder == str(parent) or folder.startswith(f"{parent}/")]
        if inside and str(parent) != ".":
            return inside[0]
    return None


def gcc(root, options):
    """Tests that GCC refuses or warns of: the builds that run them are clang's."""
    tree, memory = Tree(root), Memory(options.cache / "gcc")
    version = _version(GCC)
    tasks = []
    for file, sources, command in _units(root, options.gcc_build):
        if any(_is_of_tests(source) for source in sources) and (not options.files or set(sources) & set(options.files)):
            # Without optimisation _FORTIFY_SOURCE is a warning.
            flags = [*_flags(command), "-O1"]
            digest = tree.digest(sources, _portable(" ".join(flags), root, options.gcc_build), version)
            tasks.append((sources[0], digest, [GCC, *flags, "-fsyntax-only", str(file)]))
    return _check(memory, tasks, options.jobs, "gcc")


def _is_of_tests(source):
    return source.endswith("_test.cc") or source.startswith("tests/") or "/testing/" in source


def tidy(root, paths, options):
    """clang-tidy over every source that is not a test; then over faults.cc, where it has to find each fault."""
    tree, memory = Tree(root), Memory(options.cache / "tidy")
    commands = _commands(root, options.build)
    rules = (root / ".clang-tidy").read_text(encoding="utf-8") + _version(TIDY)
    base = [TIDY, "--quiet", "-p", str(options.build)]
    tasks = []
    for file, sources, command in _units(root, options.build):
        wanted = any(source in options.files if options.files else
                     not source.endswith("_test.cc") and not source.startswith("tests/") for source in sources)
        if wanted and set(sources) & set(paths):
            digest = tree.digest(sources, _portable(command, root, options.build), rules)
            tasks.append((sources[0], digest, [*base, str(file)]))
    findings = _check(memory, tasks, options.jobs, "clang-tidy")
    return findings if options.files else findings + _faults(root, commands)


def _faults(root, commands):
    """Each line of faults.cc that ends in '// FAULT check' must be found by that check."""
    source = root / FAULTS
    flags = _flags(next(iter(commands.values())))
    result = subprocess.run([TIDY, "--quiet", str(source), "--", *flags, "-Wno-everything"], capture_output=True, text=True)
    missed = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        expected = re.search(r"// FAULT (\S+)$", line)
        if expected and not re.search(rf"faults\.cc:{number}:\d+: error: .*\[{re.escape(expected.group(1))}[,\]]", result.stdout):
            missed.append(f"{FAULTS}:{number}: clang-tidy no longer finds {expected.group(1)}")
    return missed


if __name__ == "__main__":
    sys.exit("run tests/lint/lint.py")
