"""What the pages tell the reader to do is done, on a machine of its own, and answers as they say.

A ```console block holds commands and what they print: `#` is root's prompt, `$` that of the user `web`. `...` stands for
whatever is there, in a line or as a line of its own for any number of lines. A command succeeds, unless the next one
is `echo $?`. What the prose before a block says counts too: after "a terminal of its own:" the command goes on running,
after "`/PATH`:" the block is a file, and "Stop `COMMAND` with Ctrl-C" does so.
"""

import re
import time
from dataclasses import dataclass

import pytest

from harness.machine import Machine
from harness.peers import CREDENCE, ROOT, agent_environment, bao, peer
from harness.processes import wait_until

PAGES = ["README.md", "docs/quick-start.md", "docs/concepts.md", "docs/spire.md"]
# How long a command that only looks may have to wait for what was done just before: an agent asks its server every 5 s.
PATIENCE = 25
LOOKS = ("credence audit", "credence status", "credence entry show")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
# Of more dots in a row, the last three.
DOTS = re.compile(r"\.\.\.(?!\.)")
USERS = {"#": "root", "$": "web"}
PICTURES = ("mermaid", "text")


@dataclass
class Command:
    line: int
    user: str
    words: str
    expected: str = ""
    stays: bool = False
    may_fail: bool = False


@dataclass
class File:
    path: str
    content: str


@dataclass
class Stop:
    words: str


def steps(page):
    """What the page says to do, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    end = 0
    for block in FENCE.finditer(text):
        prose = " ".join(text[end:block.start()].split())
        line = text.count("\n", 0, block.start()) + 1
        end = block.end()
        yield from stops(prose)
        if block[1] == "console":
            yield from commands(block[2], line, prose.endswith("a terminal of its own:"))
        elif path := re.search(r"`(/\S+)`[^`]*:$", prose):
            yield File(path[1], block[2])
        else:
            assert block[1] in PICTURES, f"{page}:{line}: a block that is neither commands nor a file"
    yield from stops(" ".join(text[end:].split()))


def stops(prose):
    return (Stop(words) for words in re.findall(r"Stop `([^`]+)` with Ctrl-C", prose))


def commands(block, line, stays):
    found = []
    for number, text in enumerate(block.splitlines(), line + 1):
        if found and found[-1].words.endswith("\\"):
            found[-1].words += "\n" + text
        elif text[:2] in ("# ", "$ "):
            found.append(Command(number, USERS[text[0]], text[2:], stays=stays))
            if text[2:] == "echo $?":
                found[-2].may_fail = True
        else:
            assert found, f"line {number}: output before any command"
            found[-1].expected += text + "\n"
    return found


def tidy(text):
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def pattern(expected):
    """A regular expression for what is printed, tidied."""
    parts = []
    for line in tidy(expected).splitlines():
        parts.append(r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, DOTS.split(line))) + r"\n")
    return re.compile("".join(parts))


def matches(command, printed):
    return pattern(command.expected).fullmatch(tidy(printed) + "\n" if tidy(printed) else "")


class Reader:
    """Does what a page says."""

    def __init__(self, machine):
        self.machine, self.started = machine, {}

    def follow(self, step):
        if isinstance(step, File):
            file = self.machine.file(step.path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(step.content, encoding="utf-8")
        elif isinstance(step, Stop):
            words = next(words for words in self.started if words.startswith(step.words))
            assert self.started.pop(words).interrupt() == 0, f"{words} after Ctrl-C"
        elif step.stays:
            process = self.started[step.words] = self.machine.terminal(step.user).start(step.words)
            wait_until(lambda: matches(step, process.output()) or not process.alive(), PATIENCE,
                       lambda: self.difference(step, process.output()))
            assert process.alive(), self.difference(step, process.output())
        else:
            self.run(step)

    def run(self, step):
        end = time.monotonic() + (PATIENCE if step.user == "web" or step.words.startswith(LOOKS) else 0)
        while True:
            status, printed = self.machine.terminal(step.user).run(step.words)
            if matches(step, printed) and (status == 0 or step.may_fail):
                return
            assert time.monotonic() < end, self.difference(step, printed, status)
            time.sleep(0.25)

    def difference(self, step, printed, status=0):
        logs = "".join(f"\n--- {words}\n{process.output()[-3000:]}" for words, process in self.started.items())
        return f"line {step.line}: {step.words}\n--- expected\n{step.expected}--- printed (exit code {status})\n{printed}{logs}"


@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_says_is_so(page):
    programs = {"credence": CREDENCE, "bao": bao(), "spire-server": peer("spire-server"), "spire-agent": peer("spire-agent")}
    with Machine(programs, env=agent_environment()) as machine:
        reader = Reader(machine)
        for step in steps(page):
            reader.follow(step)
