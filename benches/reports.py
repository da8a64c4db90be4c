"""Every report over many states: how long each takes, warm, and how long DuckDB takes over the same files.

    benches/reports.py EVENTS DEAL_UPDATES SCRATCH

RINGLAKE names the binary. The events are those of `ringlake simulate`: EVENTS of Freshcaller, a tenth as many of
Vonage, for the reports about agents and phases, and DEAL_UPDATES of Freshsales. Each report is asked five times, in a
process of its own each time, and the median is told, with the peak memory; so are a session's prompt, and how long a
statement takes that asks nothing: to start the process and read the tables' logs. Then its SQL is asked by psql of a
server that has answered it before, and by turns with it DuckDB is asked the same by the same definition (reports.sql),
of the folded rows where the program reads those, in a process that stays as well; its answers are compared. What is in
SCRATCH from an earlier run is used again.
"""

import csv
import io
import json
import os
import pty
import re
import signal
import statistics
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import duckdb
from deltalake import DeltaTable

EVENTS, DEALS, SCRATCH = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
RINGLAKE = os.environ["RINGLAKE"]
DATA = SCRATCH / "reports"
TABLES = DATA / "tables"


def ringlake(*arguments, **options):
    return subprocess.run([RINGLAKE, "--data", DATA, *arguments], check=True, **options)


def fill(system, events):
    """Imports so many simulated events, without a file of them."""
    made = subprocess.Popen(
        [RINGLAKE, "simulate", "--system", system, "--date", "2024-01-02", "--days", "100000", "--calls", "20000",
         "--limit", str(events)],
        stdout=subprocess.PIPE,
    )
    start = time.time()
    ringlake("--quiet", "import", "--no-fold", "--enveloped", "-", stdin=made.stdout)
    print(f"{system}: {events} events imported in {time.time() - start:.0f} s", flush=True)


def filled():
    for system, events in [("freshcaller", EVENTS), ("vonage", EVENTS // 10), ("freshsales", DEALS)]:
        fill(system, events)
    for what in ("compact", "rebuild"):
        start = time.time()
        ringlake("--quiet", what)
        print(f"{what}: {time.time() - start:.0f} s", flush=True)


def timed(arguments):
    """Seconds, peak MiB and output of one process."""
    start = time.time()
    with subprocess.Popen([RINGLAKE, "--data", DATA, *arguments], stdout=subprocess.PIPE) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return time.time() - start, usage.ru_maxrss / 1024, output.decode()


def prompted():
    """Seconds from the start of a session until it takes a statement."""
    start = time.time()
    pid, end = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm")
        os.execv(RINGLAKE, [RINGLAKE, "--data", str(DATA), "query"])
    shown = b""
    while b"ringlake> " not in shown:
        shown += os.read(end, 65536)
    took = time.time() - start
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(end)
    return took


class Server:
    """`ringlake pg`, asked by psql: as DuckDB here, a process that stays."""

    def __init__(self):
        self.process = subprocess.Popen([RINGLAKE, "--data", DATA, "pg", "--listen", "127.0.0.1:0"],
                                        stderr=subprocess.PIPE, text=True)
        address = re.search(r"postgres://(\w+)@([\d.]+):(\d+)/", self.process.stderr.readline())
        user, host, port = address.groups()
        self.place = f"host={host} port={port} user={user} dbname=ringlake"
        self.password = (DATA / "pg-password").read_text().strip()

    def median(self, report):
        """Seconds of the report's own SQL, as psql times it, after a first time."""
        sql = ringlake("report", *report.split(), "--sql", stdout=subprocess.PIPE, text=True).stdout
        asked = subprocess.run(
            ["psql", self.place, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"], check=True, text=True,
            input="\\o /dev/null\n" + sql + "\n\\timing on\n" + 5 * (sql + "\n"), stdout=subprocess.PIPE,
            env=os.environ | {"PGPASSWORD": self.password},
        )
        times = re.findall(r"^Time: ([\d.]+) ms", asked.stdout, flags=re.MULTILINE)
        assert len(times) == 5, asked.stdout
        return statistics.median(map(float, times)) / 1000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def folded(name, part="rows"):
    """The files that the newest manifest of a fold names."""
    folder = max((TABLES / "_folded").glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime)
    manifest = max(path for path in folder.iterdir() if re.fullmatch(r"\d{20}\.json", path.name))
    return [str(TABLES / file["path"]) for file in json.loads(manifest.read_text())["parts"][part]]


def opened():
    """DuckDB with the views, and what to ask it: options of a report, and a query after them."""
    written = Path(__file__).with_suffix(".sql").read_text()
    views, *sections = re.split(r"^-- (measures|asked): (.*)\n", written, flags=re.MULTILINE)
    named = list(zip(sections[::3], sections[1::3], sections[2::3]))
    measures = {name: text.strip() for kind, name, text in named if kind == "measures"}
    sources = {
        "folded_calls": folded("calls", "whole"), "folded_lines": folded("calls", "cost_lines"),
        "folded_phases": folded("calls", "phases"), "folded_agents": folded("agents"),
        "folded_deals": folded("deals"), "folded_contacts": folded("contacts"),
        "folded_accounts": folded("sales_accounts"), "folded_stages": folded("deal_stages"),
        "folded_changes": folded("deal_changes"),
        "deal_states": DeltaTable(TABLES / "deals").file_uris(),
        "agent_events": DeltaTable(TABLES / "agent_events").file_uris(),
    }
    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET TimeZone = 'UTC'")
    for name, files in sources.items():
        connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({files}, union_by_name = true)")
    connection.execute(views)
    return connection, [(name, text.format(**measures)) for kind, name, text in named if kind == "asked"]


def compare(report, output, answer):
    """Both have the same cells, whatever the order of their lines, but for the last digit of DuckDB's floats."""
    _, *rows = csv.reader(io.StringIO(output))
    told = sorted(([cell(value) for value in row] for row in rows), key=str)
    own = sorted(([cell(value) for value in row] for row in answer), key=str)
    assert len(told) == len(own), f"{report}: {len(told)} lines, and {len(own)} of DuckDB"
    for pair in zip(told, own):
        assert all(map(same, *pair)), f"{report}: {pair}"


def cell(value):
    """A number, to six digits, or the text."""
    try:
        return Decimal(str(value)).quantize(Decimal("1e-6"))
    except ArithmeticError:
        return "" if value is None else str(value)


def same(told, own):
    numbers = isinstance(told, Decimal) and isinstance(own, Decimal)
    return abs(told - own) <= Decimal("2e-6") * max(1, abs(own)) if numbers else told == own


def main():
    if not DATA.exists():
        filled()
    ringlake("query", "SELECT (SELECT count(*) FROM calls) AS call_states, (SELECT count(*) FROM calls_current)"
             " AS calls, (SELECT count(*) FROM deals) AS deal_states, (SELECT count(*) FROM deal_changes) AS changes")
    print(f"prompt of a session: {statistics.median(prompted() for _ in range(5)):.2f} s", flush=True)
    start = statistics.median(timed(["--quiet", "query", "SELECT 1"])[0] for _ in range(5))
    print(f"a statement that asks nothing: {start:.2f} s", flush=True)
    connection, questions = opened()
    # All of ours first: what DuckDB holds would count as memory of the processes that are started then.
    answers = {report: [timed(["--quiet", "report", *report.split(), "--format", "csv"]) for _ in range(5)]
               for report, _ in questions}
    with Server() as server:
        for report, sql in questions:
            runs = answers[report]
            took, memory = statistics.median(run[0] for run in runs), max(run[1] for run in runs)
            stayed, theirs, answer = by_turns(server, report, connection, sql)
            print(f"{report}: {took:.2f} s, {memory:.0f} MiB; of a process that stays {stayed:.3f} s, duckdb's"
                  f" {theirs:.3f} s", flush=True)
            compare(report, runs[0][2], answer)


def by_turns(server, report, connection, sql):
    """Medians of the server and of DuckDB, and DuckDB's answer: a machine's speed drifts within minutes."""
    stayed, theirs = [], []
    for _ in range(3):
        stayed.append(server.median(report))
        for _ in range(3):
            start = time.time()
            answer = connection.execute(sql).fetchall()
            theirs.append(time.time() - start)
            # What takes DuckDB long is told apart by one answer a turn.
            if sum(theirs) > 10:
                break
    return statistics.median(stayed), statistics.median(theirs), answer


main()
