"""``python -m benchmarks NAME [--json]``: one benchmark, as a table or as JSON."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))


def main() -> int:
    """Every benchmark is a module here with ``run() -> dict`` whose values are figures by name."""
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    if len(names) != 1 or names[0] not in NAMES:
        print(f"usage: python -m benchmarks NAME [--json]; NAME is one of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    figures = importlib.import_module(f"benchmarks.{names[0]}").run()
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=2))
        return 0
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:,.3f}" if isinstance(value, float) else f"{name:<{width}}  {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
