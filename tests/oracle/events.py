"""From the raw events to the state of calls and deals, by docs/reports.md alone: nothing here is taken from the
program that is checked. Times are microseconds since 1970, money and seconds are decimals."""

import hashlib
import json
import pickle
from collections import defaultdict
from datetime import datetime, timezone
from decimal import Decimal
from urllib.parse import parse_qsl

TEN_MINUTES = 600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def micros(text):
    whole, _, rest = text.rstrip("Z").partition(".")
    delta = datetime.fromisoformat(whole + "+00:00") - EPOCH
    return (delta.days * 86400 + delta.seconds) * 10**6 + int((rest + "000000")[:6])


def text(value):
    """An id as text, none as none."""
    return None if value is None else str(value)


# Fields that a report is computed from; of a million calls no more would fit into memory.
WANTED = set(
    # calls and their legs
    "id direction phone_number assigned_agent_id assigned_team_id assigned_call_queue_id created_time bill_duration "
    "participants participant_type caller_number cost duration cost_unit call_direction phone_caller_number user_id "
    "created_at call_duration call_cost available_on common_status_name "
    # channels and presence
    "interactionId channelId party role agentId description category type "
    # deals and the people of them
    "owner_id deal_pipeline_id deal_stage_id contact_ids sales_account_id base_currency_amount amount mobile_number "
    "work_number phone deal_stage contacts name forecast_type value".split()
)


def slim(value):
    """Without the fields that no report is computed from."""
    if isinstance(value, list):
        return [slim(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: slim(one) for key, one in value.items() if key in WANTED}


class Event:
    __slots__ = ("line", "system", "route", "received", "body", "key", "at", "name", "packed")

    def __init__(self, line, envelope):
        self.line, self.system, self.route = line, envelope["system"], envelope.get("route")
        self.received = micros(envelope["received_at"])
        raw = envelope["body"]
        if self.system == "voipnow":
            self.body, self.key = dict(parse_qsl(raw)), (self.route, raw)
            self.at, self.name = self.received, self.route
            return
        self.body = json.loads(raw, parse_float=Decimal)
        data = self.body["data"]
        if self.system == "vonage":
            self.name, self.key = self.body["type"], self.body["id"]
            self.at = micros(data["timestamp"])
        else:
            self.name, self.key = self.body["event"], hashlib.blake2b(raw.encode(), digest_size=16).digest()
            self.at = int(Decimal(self.body["timestamp"]) * 10**6)
        self.packed = pickle.dumps({kind: told if kind in ("changes", "timestamp") else slim(told)
                                    for kind, told in data.items()})
        self.body = {name: self.body[name] for name in ("account_id", "currentHost") if name in self.body}

    @property
    def data(self):
        """What it is about; unpacked each time, since a third of the memory is worth more than the time."""
        return pickle.loads(self.packed)


def read(path):
    """The events without their repeats, in the order of (time of the event, arrival)."""
    seen, events = {}, []
    with open(path) as lines:
        for line, raw in enumerate(lines):
            event = Event(line, json.loads(raw))
            before = seen.get((event.system, event.key))
            # VoipNow tells no time, so equal parameters are a repeat only for a while.
            if before is not None and (event.system != "voipnow" or abs(event.received - before) <= TEN_MINUTES):
                continue
            seen[event.system, event.key] = event.received
            events.append(event)
    return sorted(events, key=lambda event: (event.at, event.received, event.line))


class Call:
    """One call; a column holds the newest value that is not null."""

    def __init__(self, system, account, call, extension=None):
        self.system, self.account, self.call, self.extension = system, account, call, extension
        self.first = None
        self.legs, self.times = defaultdict(dict), {}
        for name in "direction number customer agent team queue started billed talked cost currency status".split():
            setattr(self, name, None)

    def tell(self, at, **columns):
        self.first = at if self.first is None else min(self.first, at)
        for name, value in columns.items():
            if value is not None:
                setattr(self, name, value)

    def costs(self):
        """By currency."""
        if self.cost is not None:
            return {self.currency: self.cost}
        costs = {}
        for leg in self.legs.values():
            if "cost" in leg:
                costs[leg.get("currency")] = costs.get(leg.get("currency"), 0) + leg["cost"]
        return costs


def freshcaller_call(calls, event):
    call = event.data["call"]
    key = ("freshcaller", text(event.body["account_id"]), text(call["id"]))
    state = calls.setdefault(key, Call(*key))
    started = call.get("created_time")
    state.tell(
        event.at,
        direction=call.get("direction"),
        number=call.get("phone_number"),
        agent=text(call.get("assigned_agent_id")),
        team=text(call.get("assigned_team_id")),
        queue=text(call.get("assigned_call_queue_id")),
        started=started and micros(started),
        billed=call.get("bill_duration") and Decimal(call["bill_duration"]),
    )
    for leg in call["participants"]:
        held = state.legs[leg["id"]]
        told = {"who": leg.get("participant_type"), "number": leg.get("caller_number"), "cost": leg.get("cost"),
                "duration": leg.get("duration"), "currency": leg.get("cost_unit")}
        for name, value in told.items():
            if value is not None:
                held[name] = value.upper() if name == "currency" else value if name in ("who", "number") else Decimal(value)


def suite_call(calls, event):
    call = event.data["phone_call"]
    host = event.body["currentHost"]["endpoint_urls"]["freshworks_crm"]
    key = ("freshcaller", host.removeprefix("https://"), text(call["id"]))
    calls.setdefault(key, Call(*key)).tell(
        event.at, direction=call["call_direction"].lower(), number=call["phone_number"],
        customer=call["phone_caller_number"], agent=text(call["user_id"]), started=micros(call["created_at"]),
        talked=Decimal(call["call_duration"]), cost=Decimal(call["call_cost"]),
    )


def voipnow_call(calls, event):
    body, inward = event.body, event.body["CallFlow"] == "IN"
    extension = body["CalledExtension"] if inward else body["CallerExtension"]
    key = ("voipnow", extension.split("*")[0], body["CallID"], extension)
    state = calls.setdefault(key, Call(*key))
    state.tell(
        event.at, direction="incoming" if inward else "outgoing", agent=extension,
        number=body["CalledDID"] if inward else body["CallerIDNum"],
        customer=body["CallerIDNum"] if inward else body["CalledNumber"],
    )
    phase = "dial" if event.route.startswith("dial") else event.route
    state.times[phase] = min(event.at, state.times.get(phase, event.at))
    if phase == "hangup":
        state.status = body["CallStatus"]


def finish(call):
    """What follows from the legs and phases of one call."""
    if call.system == "voipnow":
        dial, answer, hangup = (call.times.get(phase) for phase in ("dial", "answer", "hangup"))
        call.started = dial if dial is not None else call.first
        if hangup is not None:
            since = answer if answer is not None else dial if call.status == "ANSWER" else hangup
            call.talked = None if since is None else Decimal(max(hangup - since, 0)) / 10**6
        return
    if call.started is None:
        call.started = call.first
    customers = [leg for leg in call.legs.values() if leg.get("who") == "Customer"]
    if call.customer is None:
        call.customer = max((leg["number"] for leg in customers if "number" in leg), default=None)
    lasted = [leg["duration"] for leg in customers if "duration" in leg]
    if call.talked is None and lasted:
        call.talked = sum(lasted)


def channels(events):
    """The events of each channel of Vonage, in order."""
    found = defaultdict(list)
    for event in events:
        if event.system == "vonage" and event.name.startswith("channel."):
            channel = event.data["channel"]
            found[channel["interactionId"], channel["channelId"]].append(event)
    return found


def phases(events):
    """Each phase of one channel: from, until, and whether it rings, is connected, held and so on."""
    is_on = dict.fromkeys(("ringing", "connected", "held", "parked", "interrupted", "wrapping"), False)
    turns = {
        "alerted": {"ringing": True}, "connected": {"ringing": False, "connected": True},
        "connectionfailed": {"ringing": False, "connected": False}, "held": {"held": True},
        "disconnected": {"ringing": False, "connected": False}, "retrieved": {"held": False},
        "wrapstarted": {"ringing": False, "connected": False, "wrapping": True}, "parked": {"parked": True},
        "ended": {"ringing": False, "connected": False, "wrapping": False}, "unparked": {"parked": False},
        "interrupted": {"interrupted": True}, "resumed": {"interrupted": False},
    }
    for event, after in zip(events, events[1:]):
        is_on.update(turns[event.name.split(".")[1]])
        yield event.at, after.at, dict(is_on)


def all_calls(events):
    calls = {}
    for event in events:
        if event.system == "voipnow":
            voipnow_call(calls, event)
        elif event.system == "freshcaller" and "call" in event.data:
            freshcaller_call(calls, event)
        elif event.system == "freshcaller" and "phone_call" in event.data:
            suite_call(calls, event)
    for call in calls.values():
        finish(call)
    vonage = {}
    for (interaction, _), told in channels(events).items():
        call = vonage.setdefault(interaction, Call("vonage", None, interaction))
        call.talked = call.talked or Decimal(0)
        call.started = min(told[0].at, call.started or told[0].at)
        for event in told:
            party = event.data["channel"]["party"]
            call.agent = text(party.get("agentId")) or call.agent
        if party["role"] == "agent":
            spans = (until - since for since, until, on in phases(told)
                     if on["connected"] and not (on["held"] or on["parked"] or on["interrupted"]))
            call.talked += Decimal(sum(spans)) / 10**6
    return [*calls.values(), *vonage.values()]


def value_of(field):
    return field["value"] if isinstance(field, dict) and "value" in field else field


def number(value):
    """The value as a number, if it is one; numbers and their spellings are equal."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    try:
        return Decimal(value) if isinstance(value, str) else None
    except ArithmeticError:
        return None


class Deals:
    """The events of deals, and what stages are."""

    def __init__(self, events):
        self.events = [event for event in events if event.system == "freshsales" and "deal" in event.data]
        self.newest, self.created, self.stages = {}, {}, {}
        for event in self.events:
            deal, told = event.data["deal"], event.data["associations"]
            self.newest[deal["id"]] = event
            self.created.setdefault(deal["id"], event.at)
            stage = told["deal_stage"]
            self.stages[str(stage["id"])] = (stage["name"], self.outcome(stage["forecast_type"]))

    @staticmethod
    def outcome(forecast):
        return {"closed won": "won", "won": "won", "closed lost": "lost", "lost": "lost"}.get(forecast.lower(), "open")

    @staticmethod
    def amount(event):
        deal = event.data["deal"]
        base = value_of(deal.get("base_currency_amount"))
        return Decimal(base if base is not None else value_of(deal["amount"]))

    def changes(self):
        """Each change: its event, field, old and new value as text."""
        for event in self.events:
            told = event.data.get("changes") or {}
            fields = {}
            for part in ("model_changes", "system_changes", "misc_changes"):
                for field, pair in told.get(part, {}).items():
                    fields.update(pair if isinstance(pair, dict) else {field: pair})
            for field, pair in fields.items():
                old, new = pair if len(pair) == 2 else (None, pair[0])
                numbers = number(old), number(new)
                same = numbers[0] == numbers[1] if None not in numbers else old == new
                if not same:
                    yield event, field, text(old), text(new)
