"""The widths and heights, in characters, at which the layout changes."""

from __future__ import annotations

SMALLEST = (60, 16)  # below this nothing is shown and nothing can be confirmed
WIDTHS = [(0, "-thin"), (SMALLEST[0], "-narrow"), (144, "-wide")]
HEIGHTS = [(0, "-flat"), (SMALLEST[1], "-low"), (22, "-middle"), (30, "-high")]
