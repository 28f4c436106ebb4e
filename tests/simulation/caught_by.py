"""The seed that caught each mutant lately. ``python -m tests.simulation --mutants`` writes this table anew.

The seed is played first, so that a mutant is caught at once. When the program changes, a seed's course changes too. A
mutant that survives its seed is looked for from seed 0 on, as if it had no entry here.
"""

from __future__ import annotations

CAUGHT_BY: dict[str, int] = {}
