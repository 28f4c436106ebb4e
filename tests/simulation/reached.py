"""Rare states that every batch must have reached, found in the evidence of a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from core.model import Leg, Tier
from tests.simulation.evidence import NEVER, Evidence
from tests.simulation.history import Answered, Called

BEHIND_A_FILL = "a list behind our fill where an order may open"
PUT_BACK = "a stop put back after a partial close"
ACROSS_EXPIRY = "a look-up across the expiry"
SENT_MARGIN, LOOK_MARGIN = 1.0, 0.5  # seconds from a decision to its send, and beyond the lists' lag


def split_at(tier: Tier) -> str:
    return f"an order split at {tier.value}"


STATES = (BEHIND_A_FILL, PUT_BACK, ACROSS_EXPIRY, *(split_at(t) for t in Tier))


def reached(evidence: Evidence) -> set[str]:
    """The states that a run reached."""
    found = set(_split(evidence))
    if _put_back(evidence):
        found.add(PUT_BACK)
    if _behind_a_fill(evidence):
        found.add(BEHIND_A_FILL)
    if _across_expiry(evidence):
        found.add(ACROSS_EXPIRY)
    return found


def _split(evidence: Evidence) -> Iterator[str]:
    names: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for send in evidence.sends:
        intent = send.intent
        if intent is not None and intent.tier is not None:
            names[intent.plan, intent.key, intent.round, intent.step, intent.tier].add(intent.client_id)
    for (*_, tier), parts in names.items():
        if len(parts) > 1 and isinstance(tier, Tier):
            yield split_at(tier)


def _put_back(evidence: Evidence) -> bool:
    """A close filled something, ended without success, and the venue has a stop again that the close had cancelled."""
    filled = Counter((s.intent.plan, s.key) for s in evidence.sends if s.intent and s.closing and s.filled)
    return any(
        s.intent is not None and s.intent.step < 0 and s.accepted != NEVER and filled[s.intent.plan, s.key]
        for s in evidence.sends
    )


def _behind_a_fill(evidence: Evidence) -> bool:
    """A list told more than there was, soon after a fill of ours, and nothing at the venue kept a sell from opening."""
    for send in evidence.sends:
        facts = evidence.facts(send.account)
        symbol, key = send.request.symbol, send.key
        if not send.filled or facts.reduce_only[symbol] or facts.guarded[symbol] or key.leg is not Leg.NET:
            continue
        indices, lists = evidence.lists.get(send.account, ([], []))
        for index, listed in zip(indices, lists, strict=True):
            if index <= send.accepted or listed.at > send.at + facts.lag + SENT_MARGIN:
                continue
            if any(p.key == key and p.quantity > abs(evidence.held[key].at(index)) for p in listed.positions):
                return True
    return False


def _across_expiry(evidence: Evidence) -> bool:
    """A question for an unknown order was asked before the order's end was certain, and answered after that."""
    unknown = {a.client_id for _, a in evidence.answers if a.outcome == "unknown"}
    proofs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for send in evidence.sends:
        facts = evidence.facts(send.account)
        if send.request.client_id in unknown and facts.expiry is not None:
            proof = send.at + facts.expiry + SENT_MARGIN + max(LOOK_MARGIN, facts.lag)
            proofs[send.account].append((send.at, proof))
    if not proofs:
        return False
    asked: dict[tuple[str, int], float] = {}
    for event in evidence.events:
        if isinstance(event, Called) and event.what == "find_order":
            asked[event.account, event.n] = event.at
        elif isinstance(event, Answered) and event.what == "find_order":
            begun = asked.get((event.account, event.n), event.at)
            if any(sent < begun < proof <= event.at for sent, proof in proofs[event.account]):
                return True
    return False
