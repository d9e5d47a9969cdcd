"""Horizontal bars as SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_ROW, _LEFT, _BARS, _RIGHT = 26, 300, 340, 130
_COLOUR = "#3b7dd8"
_STYLE = "text { font: 13px sans-serif; fill: #6b7280 } .title { font-weight: bold }"


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """One bar a row.

    Args:
        title: stands above.
        rows: label, value, and what is written behind the bar.
    """
    longest = max((value for _, value, _ in rows), default=1)
    height = _ROW * (len(rows) + 1) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _BARS + _RIGHT}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="0" y="16">{escape(title)}</text>',
    ]
    for number, (label, value, text) in enumerate(rows, 1):
        top, width = number * _ROW, max(_BARS * value / longest, 1)
        parts += [
            f'<text x="{_LEFT - 8}" y="{top + 15}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="20" fill="{_COLOUR}"/>',
            f'<text x="{_LEFT + width + 6:.1f}" y="{top + 15}">{escape(text)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
