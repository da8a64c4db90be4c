"""Reports over many states: how long each takes, warm, and how long DuckDB takes over the same files.

    benches/reports.py EVENTS DEAL_UPDATES SCRATCH

RINGLAKE names the binary. The events are those of `ringlake simulate`; each report is asked five times in a
process of its own and the median is told, with the peak memory. DuckDB is asked what `call-cost` and
`bill-duration` ask, first of all states by the definition, then of the folded rows, that is the same files.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import duckdb

EVENTS, DEALS, SCRATCH = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
RINGLAKE = os.environ["RINGLAKE"]
DATA = SCRATCH / "reports"
REPORTS = [
    ["call-cost"],
    ["call-cost", "--by", "day,number", "--tz", "Europe/Berlin"],
    ["bill-duration"],
    ["bill-duration", "--by", "week,team"],
    ["deal-changes", "--by", "owner,month"],
    ["deal-changes", "--by", "to_stage"],
]


def ringlake(*arguments, **options):
    return subprocess.run([RINGLAKE, "--data", DATA, *arguments], check=True, **options)


def fill(system, events):
    """Imports so many simulated events, without a file of them."""
    calls = ["--calls", "20000"] if system != "freshsales" else ["--calls", "20000"]
    made = subprocess.Popen(
        [RINGLAKE, "simulate", "--system", system, "--date", "2024-01-02", "--days", "100000", *calls,
         "--limit", str(events)],
        stdout=subprocess.PIPE,
    )
    start = time.time()
    ringlake("--quiet", "import", "--no-fold", "--enveloped", "-", stdin=made.stdout)
    print(f"{system}: {events} events imported in {time.time() - start:.0f} s", flush=True)


def timed(arguments):
    """Seconds and peak MiB of one process."""
    start = time.time()
    with subprocess.Popen([RINGLAKE, "--data", DATA, *arguments], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return time.time() - start, usage.ru_maxrss / 1024


def median(arguments):
    runs = [timed(arguments) for _ in range(5)]
    return statistics.median(run[0] for run in runs), max(run[1] for run in runs)


COST = """SELECT agent_id, currency, count(*), count(cost), sum(cost) FILTER (WHERE cost IS NOT NULL),
    sum(coalesce(bill_duration_seconds, talk_seconds)) FILTER (WHERE cost IS NOT NULL)
    FROM {calls} WHERE is_deleted IS NOT TRUE GROUP BY ALL ORDER BY ALL"""
BILLED = """SELECT agent_id, count(*), count(bill_duration_seconds), sum(bill_duration_seconds),
    quantile_disc(bill_duration_seconds, [0.5, 0.9]), max(bill_duration_seconds)
    FROM {calls} WHERE is_deleted IS NOT TRUE GROUP BY ALL ORDER BY ALL"""
NEWEST = ["agent_id", "bill_duration_seconds", "is_deleted"]
STATED = f"""(WITH stated AS (SELECT system, account_id, call_id,
        {", ".join(f"arg_max({c}, (event_time, received_at, topic, partition, offset)) AS {c}" for c in NEWEST)}
        FROM read_parquet('{DATA}/tables/calls/**/*.parquet', union_by_name = true) GROUP BY ALL),
    legs AS (SELECT system, account_id, call_id, leg_id,
        {", ".join(f"arg_max({c}, (event_time, received_at, topic, partition, offset)) AS {c}"
                   for c in ["cost", "currency", "duration_seconds", "participant_type"])}
        FROM read_parquet('{DATA}/tables/call_participants/**/*.parquet') GROUP BY ALL),
    cost AS (SELECT system, account_id, call_id, currency, sum(cost) AS cost,
        sum(duration_seconds) FILTER (WHERE participant_type = 'Customer') AS talk_seconds
        FROM legs GROUP BY ALL)
    SELECT stated.*, currency, cost, talk_seconds
    FROM stated LEFT JOIN cost USING (system, account_id, call_id))"""


def duck(name, sql):
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    runs = []
    for _ in range(3):
        start = time.time()
        connection.execute(sql).fetchall()
        runs.append(time.time() - start)
    print(f"duckdb {name}: {statistics.median(runs):.2f} s", flush=True)


def folded_files():
    """What the newest manifest of the calls names."""
    folder = next((DATA / "tables/_folded").glob("calls-*"))
    manifest = max(path for path in folder.iterdir() if re.fullmatch(r"\d{20}\.json", path.name))
    import json
    files = json.loads(manifest.read_text())["parts"]["whole"]
    return [str(DATA / "tables" / file["path"]) for file in files]


def main():
    if not DATA.exists():
        fill("freshcaller", EVENTS)
        fill("freshsales", DEALS)
        start = time.time()
        ringlake("--quiet", "compact")
        print(f"compacted in {time.time() - start:.0f} s", flush=True)
        start = time.time()
        ringlake("--quiet", "rebuild")
        print(f"folded in {time.time() - start:.0f} s", flush=True)
    ringlake("query", "SELECT (SELECT count(*) FROM calls) AS call_states, (SELECT count(*) FROM calls_current)"
             " AS calls, (SELECT count(*) FROM deals) AS deal_states")
    for report in REPORTS:
        seconds, memory = median(["--quiet", "report", *report, "--format", "csv"])
        print(f"ringlake {' '.join(report)}: {seconds:.2f} s, {memory:.0f} MiB", flush=True)
    files = f"read_parquet({folded_files()})"
    for name, sql in [("call-cost", COST), ("bill-duration", BILLED)]:
        duck(f"{name}, folded files", sql.format(calls=files))
        duck(f"{name}, all states", sql.format(calls=STATED))


main()
