#!/usr/bin/env python3
"""Computes every report from the raw events, with DuckDB and by docs/reports.md alone, and compares each cell.

    oracle.py RINGLAKE DATA EVENTS.ndjson [--third]

EVENTS are envelopes that were imported into the folder DATA. With --third each question is asked in one zone, not in
all of them. Prints how many cells agree; ends with 1 and shows
the first that do not.
"""

import bisect
import csv
import datetime as dt
import io
import itertools
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import duckdb

import events as raw

DAY = 86_400 * 10**6
COUNTRIES = {"+1": "US", "+33": "FR", "+44": "GB", "+49": "DE"}
# Zone, and a period in it; in Berlin summer time begins on 29 March, and in New York it has begun.
PERIODS = [
    ("UTC", None, None),
    ("Europe/Berlin", "2026-03-20", "2026-04-02"),
    ("America/New_York", "2026-03-29", "2026-03-31"),
]
CALL_GROUPS = "system account agent team queue number direction country customer hour day week month".split()
DEAL_GROUPS = "account deal owner pipeline".split()


class Zone:
    """Days and clocks of one zone, and the question's period in it."""

    def __init__(self, name, since, until):
        self.name, self.zone = name, ZoneInfo(name)
        self.options = ["--tz", name]
        self.since, self.until = -(10**18), 10**18
        if since:
            self.since, self.until = self.midnight(since), self.midnight(until)
            self.options += ["--since", since, "--until", until]

    def midnight(self, day):
        local = dt.datetime.combine(dt.date.fromisoformat(str(day)), dt.time(), self.zone)
        return int(local.timestamp()) * 10**6

    def local(self, micros):
        return dt.datetime.fromtimestamp(micros // 10**6, self.zone)

    def clock(self, micros):
        """Hour, day, week and month at an instant."""
        at = self.local(micros)
        day = at.date()
        return at.hour, day, day - dt.timedelta(days=day.weekday()), day.replace(day=1)

    def has(self, micros):
        return self.since <= micros < self.until

    def days(self, since, until):
        """The span within the period, cut at midnights: each day and the seconds of it."""
        since, until = max(since, self.since), min(until, self.until)
        while since < until:
            day = self.local(since).date()
            end = min(until, self.midnight(day + dt.timedelta(days=1)))
            yield day, Decimal(end - since) / 10**6
            since = end


def table(db, name, columns, rows):
    """A table of DuckDB; a column is its name and type."""
    db.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
    with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="") as file:
        csv.writer(file).writerows(rows)
        file.flush()
        db.execute(f"COPY {name} FROM '{file.name}' (AUTO_DETECT false, DELIM ',', QUOTE '\"', NULLSTR '')")


def ratio(over, under):
    """Rounded half away from zero to six digits."""
    if over is None or not under:
        return None
    return (Decimal(over) / Decimal(under)).quantize(Decimal("0.000001"), ROUND_HALF_UP)


CLOCK = "hour INT, day DATE, week DATE, month DATE"


def grouped(db, by, source, measures, extra=()):
    keys = [*by, *extra]
    shown = "".join(f'"{key}", ' for key in keys)
    order = ", ".join(f'"{key}" NULLS LAST' for key in keys)
    group = f"GROUP BY {', '.join(map(repr, range(1, len(keys) + 1)))}" if keys else ""
    sql = f"SELECT {shown} {measures} FROM {source} {group} ORDER BY {order or '1'}"
    rows = db.execute(sql).fetchall()
    # A sum over nothing is no line.
    return [] if not keys and not db.execute(f"SELECT count(*) FROM {source}").fetchone()[0] else rows


def load_calls(db, calls, zone):
    """Calls of the period, and what they cost by currency."""
    def row(call):
        country = next((c for code, c in COUNTRIES.items() if (call.customer or "").startswith(code)), None)
        return (call.system, call.account, call.agent, call.team, call.queue, call.number, call.direction, country,
                call.customer, *zone.clock(call.started), call.billed, call.talked)

    told = [call for call in calls if zone.has(call.started)]
    text = ", ".join(f"{name} VARCHAR" for name in CALL_GROUPS[:9])
    seconds = "billed DECIMAL(18,6), talked DECIMAL(18,6)"
    table(db, "calls", f"{text}, {CLOCK}, {seconds}", map(row, told))
    costs = ((*row(call), currency, cost) for call in told for currency, cost in (call.costs() or {None: None}).items())
    table(db, "costs", f"{text}, {CLOCK}, {seconds}, currency VARCHAR, cost DECIMAL(28,9)", costs)


def call_cost(db, by):
    rows = grouped(db, by, "costs", "count(*), count(cost), coalesce(sum(coalesce(billed, talked)) "
                   "FILTER (cost IS NOT NULL), 0), sum(cost)", ["currency"])
    for *group, calls, costed, seconds, cost in rows:
        per_minute = ratio(cost * 60, seconds) if cost is not None else None
        yield (*group, calls, costed, seconds, cost, ratio(cost, costed), per_minute)


def bill_duration(db, by):
    # Nearest rank: the smallest value at or above the share.
    rank = "list_sort(list(billed) FILTER (billed IS NOT NULL))[CAST(ceil(count(billed) * {}) AS INT)]"
    return grouped(db, by, "calls", f"count(*), count(billed), coalesce(sum(billed), 0), "
                   "coalesce(sum(talked) FILTER (billed IS NOT NULL), 0), coalesce(sum(billed), 0) - "
                   "coalesce(sum(talked) FILTER (billed IS NOT NULL), 0), "
                   f"{rank.format('0.5')}, {rank.format('0.9')}, max(billed), count(*) - count(billed)")


def load_changes(db, deals, zone):
    kept = {"updated_at", "updater_id", "stage_updated_time", "last_assigned_at"}
    changes, slips = [], []
    all_changes = list(deals.changes())
    has_base = {id(event) for event, field, *_ in all_changes if field == "base_currency_amount"}
    for event, field, old, new in all_changes:
        if field in kept or field.endswith("_count") or not zone.has(event.at):
            continue
        deal, is_stage = event.data["deal"], field == "deal_stage_id"
        delta = raw.number(new) - raw.number(old) if None not in (raw.number(old), raw.number(new)) else None
        counts = field == "base_currency_amount" or (field == "amount" and id(event) not in has_base)
        outcome = deals.outcome(event.data["associations"]["deal_stage"]["forecast_type"]) if is_stage else None
        before = deals.stages.get(old, (None, None))[1] if is_stage else None
        group = (raw.text(event.body["account_id"]), field, deal["id"], raw.value_of(deal["owner_id"]),
                 raw.value_of(deal["deal_pipeline_id"]), old if is_stage else None, new if is_stage else None)
        amount = deals.amount(event)
        changes.append((*group, *zone.clock(event.at), delta if counts else None, outcome, before, amount))
        if field == "expected_close" and None not in (old, new):
            days = (dt.date.fromisoformat(new[:10]) - dt.date.fromisoformat(old[:10])).days
            if days > 0:
                slips.append((group[0], *group[2:5], *zone.clock(event.at), days, amount, event.at, event.line))
    ids = "deal BIGINT, owner BIGINT, pipeline BIGINT"
    table(db, "changes", f"account VARCHAR, field VARCHAR, {ids}, from_stage VARCHAR, to_stage VARCHAR, {CLOCK}, "
          "delta DECIMAL(28,9), outcome VARCHAR, before VARCHAR, amount DECIMAL(28,9)", changes)
    table(db, "slips", f"account VARCHAR, {ids}, {CLOCK}, days BIGINT, amount DECIMAL(28,9), moment BIGINT, line BIGINT",
          slips)


def deal_changes(db, by):
    source = "changes" if not {"from_stage", "to_stage"} & set(by) else "(FROM changes WHERE field = 'deal_stage_id')"
    won, lost = "FILTER (outcome = 'won')", "FILTER (outcome = 'lost')"
    return grouped(db, by, source, "count(*), count(DISTINCT (account, deal)), coalesce(sum(delta), 0), "
                   f"count(*) {won}, coalesce(sum(amount) {won}, 0), count(*) {lost}, coalesce(sum(amount) {lost}, 0), "
                   "count(*) FILTER (outcome = 'open' AND before IN ('won', 'lost'))")


def deal_slips(db, by):
    # A deal's amount is that of its newest slip in the group, once.
    keys = "".join(f'"{key}", ' for key in by)
    source = (f"(SELECT *, row_number() OVER (PARTITION BY {keys} account, deal ORDER BY moment DESC, line DESC) = 1 "
              "AS is_newest FROM slips)")
    return grouped(db, by, source, "count(*), sum(days), coalesce(sum(amount) FILTER (is_newest), 0)")


def stays(deals):
    """Deal, stage, from, until: from the deal's creation or its move there to its next move."""
    moves = {}
    for event, field, old, new in deals.changes():
        if field == "deal_stage_id":
            moves.setdefault(event.data["deal"]["id"], []).append((event.at, old, new))
    for deal, newest in deals.newest.items():
        told = raw.value_of(newest.data["deal"].get("created_at"))
        created = raw.micros(told) if told else deals.created[deal]
        mine = moves.get(deal, [])
        first = mine[0][1] if mine else raw.text(raw.value_of(newest.data["deal"]["deal_stage_id"]))
        ends = [at for at, *_ in mine] + [None]
        for (since, stage), until in zip([(created, first)] + [(at, new) for at, _, new in mine], ends):
            yield deal, stage, since, until


def load_stays(db, deals, zone):
    rows = []
    for deal, stage, since, until in stays(deals):
        newest = deals.newest[deal]
        record = newest.data["deal"]
        left = until is not None and zone.has(until)
        is_open = since < zone.until and (until is None or until >= zone.until)
        if zone.has(since) or left or is_open:
            rows.append((raw.text(newest.body["account_id"]), stage, deal, raw.value_of(record["owner_id"]),
                         raw.value_of(record["deal_pipeline_id"]), zone.has(since), left, is_open,
                         Decimal(until - since) / 10**6 if left else None, deals.amount(newest)))
    table(db, "stays", "account VARCHAR, stage VARCHAR, deal BIGINT, owner BIGINT, pipeline BIGINT, entered BOOL, "
          "has_left BOOL, is_open BOOL, stayed DECIMAL(18,6), amount DECIMAL(28,9)", rows)


def deal_stages(db, by):
    median = "list_sort(list(stayed) FILTER (stayed IS NOT NULL))[CAST(ceil(count(stayed) * 0.5) AS INT)]"
    rows = grouped(db, by, "stays", "count(*) FILTER (entered), count(*) FILTER (has_left), count(*) FILTER (is_open), "
                   f"coalesce(sum(amount) FILTER (is_open), 0), sum(stayed), {median}")
    for *group, left, is_open, amount, stayed, middle in rows:
        yield (*group, left, is_open, amount, ratio(stayed, left * 86_400), ratio(middle, 86_400))


def load_phases(db, events, zone):
    rows = []
    for (interaction, _), told in raw.channels(events).items():
        agent = None
        for event, (since, until, on) in zip(told, raw.phases(told)):
            party = event.data["channel"]["party"]
            agent = raw.text(party.get("agentId")) or agent
            kinds = [("wrap", on["wrapping"]), ("parked", on["connected"] and on["parked"]),
                     ("held", on["connected"] and on["held"]),
                     ("talking", on["connected"] and not on["interrupted"]), ("ringing", on["ringing"])]
            kind = next((kind for kind, is_so in kinds if is_so), None)
            if kind and party["role"] == "agent":
                rows += (("vonage", None, agent, interaction, day, *week_and_month(day), kind, seconds)
                         for day, seconds in zone.days(since, until))
    table(db, "phases", "system VARCHAR, account VARCHAR, agent VARCHAR, call VARCHAR, day DATE, week DATE, month DATE, "
          "kind VARCHAR, seconds DECIMAL(18,6)", rows)


def week_and_month(day):
    return day - dt.timedelta(days=day.weekday()), day.replace(day=1)


def call_phases(db, by):
    kinds = ("ringing", "talking", "held", "parked", "wrap")
    sums = ", ".join(f"coalesce(sum(seconds) FILTER (kind = '{kind}'), 0)" for kind in kinds)
    return grouped(db, by, "phases", f"count(DISTINCT call), {sums}")


def agent_states(events):
    """The states of each agent, in order: from when, which, and whether it is offline."""
    for event in events:
        if event.system == "vonage" and event.name.startswith("agent."):
            presence = event.data["presence"]
            state, category = presence["description"], presence["category"]["type"]
            key = ("vonage", None, raw.text(event.data["user"]["agentId"]))
            yield key, event.at, state, category.lower() in ("loggedout", "offline") or state.lower() == "logged out"
        elif event.system == "freshcaller" and "agent" in event.data:
            agent, host = event.data["agent"], event.body["currentHost"]["endpoint_urls"]["freshcaller"]
            is_offline = agent["available_on"] == 0
            state = "offline" if is_offline else agent["common_status_name"]
            yield ("freshcaller", host.removeprefix("https://"), raw.text(agent["id"])), event.at, state, is_offline


def load_agents(db, events, calls, zone):
    states, last = {}, {}
    for key, *state in agent_states(events):
        states.setdefault(key, []).append(state)
        # The newest state lasts as long as any agent of the account is told of.
        last[key[:2]] = max(state[0], last.get(key[:2], 0))
    rows = []
    for key, told in states.items():
        ends = [state[0] for state in told[1:]] + [last[key[:2]]]
        for (since, state, is_offline), until in zip(told, ends):
            rows += ((*key, state, day, *week_and_month(day), is_offline, seconds, False, None)
                     for day, seconds in zone.days(since, until))
    for call in calls:
        if call.agent and call.talked and zone.has(call.started):
            told = states.get((call.system, call.account, call.agent), [])
            before = bisect.bisect_right(told, call.started, key=lambda state: state[0])
            _, state, is_offline = told[before - 1] if before else (None, None, None)
            rows.append((call.system, call.account, call.agent, state, *zone.clock(call.started)[1:], is_offline, None,
                         True, call.talked))
    table(db, "agents", "system VARCHAR, account VARCHAR, agent VARCHAR, presence VARCHAR, day DATE, week DATE, "
          "month DATE, is_offline BOOL, seconds DECIMAL(18,6), is_call BOOL, talked DECIMAL(18,6)", rows)


def agent_time(db, by):
    rows = grouped(db, by, "agents", "coalesce(sum(seconds), 0), count(*) FILTER (is_call), coalesce(sum(talked), 0), "
                   "sum(seconds) FILTER (NOT is_offline)")
    for *group, talked, working in rows:
        yield (*group, talked, ratio(talked, working))


def records(events, kind):
    """The newest state of each record of Freshsales."""
    return {event.data[kind]["id"]: event.data[kind] for event in events
            if event.system == "freshsales" and kind in event.data}


def numbers_of(newest, contacts, accounts):
    """The numbers of a deal's people, which are all written in E.164."""
    deal = newest.data["deal"]
    people = {*deal["contact_ids"], *(person["id"] for person in newest.data["associations"]["contacts"])}
    told = [raw.value_of(contacts[one].get(field)) for one in people if one in contacts
            for field in ("mobile_number", "work_number")]
    account = accounts.get(raw.value_of(deal["sales_account_id"]))
    told.append(account and raw.value_of(account.get("phone")))
    return {number for number in told if number}


def load_deal_calls(db, events, calls, deals, zone):
    contacts, accounts = records(events, "contact"), records(events, "sales_account")
    by_number, rows = {}, []
    for at, call in enumerate(calls):
        if call.customer and zone.has(call.started):
            by_number.setdefault(call.customer, []).append((at, call))
    for deal, stage, since, until in stays(deals):
        newest = deals.newest[deal]
        if deals.stages.get(stage, (None, "open"))[1] != "open":
            continue
        record = newest.data["deal"]
        outcome = deals.stages[str(raw.value_of(record["deal_stage_id"]))][1]
        group = (raw.text(newest.body["account_id"]), deal, raw.value_of(record["owner_id"]),
                 raw.value_of(record["deal_pipeline_id"]), outcome)
        for number in numbers_of(newest, contacts, accounts):
            for at, call in by_number.get(number, []):
                if since <= call.started and (until is None or call.started < until):
                    rows += ((*group, call.agent, call.direction, *zone.clock(call.started)[1:], at, call.talked,
                              currency, cost) for currency, cost in (call.costs() or {None: None}).items())
    table(db, "deal_calls", "account VARCHAR, deal BIGINT, owner BIGINT, pipeline BIGINT, outcome VARCHAR, "
          "agent VARCHAR, direction VARCHAR, day DATE, week DATE, month DATE, call BIGINT, talked DECIMAL(18,6), "
          "currency VARCHAR, cost DECIMAL(28,9)", rows)


def deal_calls(db, by):
    # A call with people of several deals of a group counts once in it.
    keys = "".join(f'"{key}", ' for key in by)
    source = f"(SELECT DISTINCT {keys} call, talked, currency, cost FROM deal_calls)"
    return grouped(db, by, source, "count(*), coalesce(sum(talked), 0), sum(cost)", ["currency"])


# Report, what computes it, and the groups that it is asked by.
REPORTS = [
    ("call-cost", call_cost, [[], *([one] for one in CALL_GROUPS), ["agent", "day"], ["system", "week", "direction"]]),
    ("bill-duration", bill_duration, [[], *([one] for one in CALL_GROUPS), ["agent", "hour"], ["number", "month"]]),
    ("deal-changes", deal_changes, [[], *([one] for one in [*DEAL_GROUPS, "field", "from_stage", "to_stage", "day",
                                                           "week", "month"]), ["owner", "week"]]),
    ("deal-slips", deal_slips, [[], *([one] for one in [*DEAL_GROUPS, "day", "week", "month"]), ["owner", "month"]]),
    ("deal-stages", deal_stages, [[], *([one] for one in [*DEAL_GROUPS, "stage"]), ["pipeline", "stage"]]),
    ("deal-calls", deal_calls, [[], *([one] for one in [*DEAL_GROUPS, "outcome", "agent", "direction", "day", "week",
                                                        "month"]), ["owner", "month"]]),
    ("agent-time", agent_time, [[], *([one] for one in ["system", "account", "agent", "presence", "day", "week",
                                                        "month"]), ["agent", "day", "presence"]]),
    ("call-phases", call_phases, [[], *([one] for one in ["system", "account", "agent", "call", "day", "week",
                                                          "month"]), ["day", "agent"]]),
]


def answer(program, data, report, by, zone):
    """What the program says: its rows without the names that stand beside ids."""
    # Without any group deal-changes is a list; its sums are those of its one account.
    command = [program, "--data", data, "report", report, "--by", ",".join(by), "--format", "csv", *zone.options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    header, *rows = csv.reader(io.StringIO(done.stdout))
    kept = [at for at, name in enumerate(header) if not name.endswith("_name")]
    return [header[at] for at in kept], [[row[at] for at in kept] for row in rows]


def agrees(cell, expected):
    if expected is None:
        return cell == ""
    if isinstance(expected, (int, Decimal)):
        return cell != "" and Decimal(cell) == expected
    return cell == str(expected)


def compare(asked, header, rows, expected):
    """The number of cells that agree; ends the program at the first that does not."""
    expected = [tuple(row) for row in expected]
    for at, (row, wanted) in enumerate(itertools.zip_longest(rows, expected)):
        if row is None or wanted is None or len(row) != len(wanted) or not all(map(agrees, row, wanted)):
            sys.exit(f"{asked}, row {at + 1} of {len(rows)}, expected {len(expected)}\n  columns  {header}\n"
                     f"  reported {row}\n  computed {wanted and [str(cell) for cell in wanted]}")
    return sum(map(len, rows))


def main():
    program, data, path, *third = sys.argv[1:]
    events = raw.read(path)
    calls, deals = raw.all_calls(events), raw.Deals(events)
    db, cells, asked = duckdb.connect(), 0, 0
    for turn, zone in enumerate(Zone(*period) for period in PERIODS):
        load_calls(db, calls, zone)
        load_changes(db, deals, zone)
        load_stays(db, deals, zone)
        load_phases(db, events, zone)
        load_agents(db, events, calls, zone)
        load_deal_calls(db, events, calls, deals, zone)
        questions = [(report, compute, by) for report, compute, all_by in REPORTS for by in all_by
                     if by or report != "deal-changes"]
        if third:
            questions = questions[turn::len(PERIODS)]
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(lambda one: answer(program, data, one[0], one[2], zone), questions)
            for (report, compute, by), (header, rows) in zip(questions, answers):
                cells += compare(f"{report} --by {','.join(by)} in {zone.name}", header, rows, compute(db, by))
                asked += 1
    print(f"{cells} cells of {asked} answers over {len(events)} events agree")


if __name__ == "__main__":
    main()
