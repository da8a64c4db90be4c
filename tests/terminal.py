#!/usr/bin/env python3
"""Runs a program at a terminal of its own and types what it is told to.

    terminal.py PROGRAM [ARGUMENT…] < STEPS

STEPS is a JSON list of {"type": TEXT, "expect": TEXT, "within": SECONDS}: the text is typed, and what is expected
must then be shown in time, behind what was expected before. Prints what was shown, without its colours and
movements, and ends with 1 when something was not shown. A step may be {"ends": CODE}: the program is to end so.
"""

import json
import os
import pty
import re
import select
import signal
import sys
import time

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b[=>]|\r")


class Terminal:
    def __init__(self, program):
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", COLUMNS="100", LINES="40")
            os.execvp(program[0], program)
        self.raw = b""

    def shown(self):
        return CONTROL.sub("", self.raw.decode(errors="replace"))

    def read(self, seconds):
        """Takes in what comes; false once there is nothing more to come."""
        ready, _, _ = select.select([self.end], [], [], max(0, seconds))
        if not ready:
            return True
        try:
            new = os.read(self.end, 65536)
        except OSError:
            return False
        self.raw += new
        return bool(new)

    def wait_for(self, text, start, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            at = self.shown().find(text, start)
            if at >= 0:
                return at + len(text)
            if not self.read(until - time.monotonic()):
                break
        at = self.shown().find(text, start)
        return at + len(text) if at >= 0 else None

    def wait_for_end(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.read(0.05):
            pass
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(self.pid, signal.SIGKILL)
        return None


def main():
    terminal, seen = Terminal(sys.argv[1:]), 0
    wrong = None
    for step in json.load(sys.stdin):
        os.write(terminal.end, step.get("type", "").encode())
        within = step.get("within", 30)
        if "ends" in step:
            code = terminal.wait_for_end(within)
            if code != step["ends"]:
                wrong = f"ended with {code}"
            break
        found = terminal.wait_for(step["expect"], seen, within)
        if found is None:
            wrong = f"not shown in {within} s: {step['expect']!r}"
            os.kill(terminal.pid, signal.SIGKILL)
            break
        seen = found
    print(terminal.shown())
    if wrong:
        sys.exit(f"== {wrong}")


if __name__ == "__main__":
    main()
