"""Every figure, by name: what is run for it, what is computed from that, and the goal."""

from __future__ import annotations

from benchmarks import figures_announcing, figures_asking, figures_collecting
from benchmarks.figure import Figure

FIGURES: dict[str, Figure] = {
    **figures_collecting.FIGURES,
    **figures_asking.FIGURES,
    **figures_announcing.FIGURES,
}
