"""Print the lifecycle of a close as a diagram, from the table that the ladder itself obeys.

python docs/ladder_diagram.py            prints the block
python docs/ladder_diagram.py --write    puts it between the markers in docs/architecture.md
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from core.ladder.states import Phase  # noqa: E402 - found beside this folder
from core.ladder.step import LIFECYCLE  # noqa: E402 - found beside this folder

BEGIN, END = "<!-- ladder:begin -->", "<!-- ladder:end -->"
STARTS = (Phase.CANCELLING, Phase.READING)  # with orders that go first, and without


def diagram() -> str:
    """Return the mermaid block with its fence; each arrow names the events that lead along it."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {phase.value}" for phase in STARTS]
    for phase in Phase:
        for follower in Phase:
            if events := _events(phase, follower):
                lines.append(f"    {phase.value} --> {follower.value} : {events}")
    left = {phase for phase, _ in LIFECYCLE}
    lines += [f"    {phase.value} --> [*]" for phase in Phase if phase not in left]
    return "\n".join([*lines, "```"])


def _events(phase: Phase, follower: Phase) -> str:
    return ", ".join(event.__name__ for (p, event), (_, after) in LIFECYCLE.items() if p is phase and follower in after)


def replaced(text: str) -> str:
    """Return a document in which the block between the markers is new."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{diagram()}\n{END}{after}"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        page = DOCS / "architecture.md"
        page.write_text(replaced(page.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(diagram() + "\n")
