"""Charts over time as SVG within a page: drawn by pygal, styled by our own style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any
from xml.etree import ElementTree as ET

import pygal  # type: ignore[import-untyped]
from markupsafe import Markup
from pygal.style import Style  # type: ignore[import-untyped]

_WIDTH, _HEIGHT = 480, 180
_LABEL = 14
"""The size of labels for which there is room, as on a narrow screen; page.css makes them smaller on others."""
_MAJOR = 4
"""How many of the times below a chart are labelled at most."""
_FEW = 6
"""So few values are drawn as dots on their line."""
_SVG = "{http://www.w3.org/2000/svg}"
_DAY = 86400


def bars(times: Sequence[datetime], series: Mapping[str, Sequence[int]]) -> Markup:
    """Stacked bars for values in consecutive time spans.

    Args:
        times: the begins of the spans.
        series: the values of each span, by name.
    """
    return _drawn(pygal.StackedBar, times, series, spacing=0)


def steps(times: Sequence[datetime], series: Mapping[str, Sequence[int | None]]) -> Markup:
    """A step line for each series, which continues over unknown values.

    Args:
        times: the times of the values.
        series: the values, by name; None: unknown.
    """
    return _drawn(pygal.Line, times, series, show_dots=len(times) < _FEW, allow_interruptions=False)


def _drawn(kind: Any, times: Sequence[datetime], series: Mapping[str, Sequence[int | None]], **how: object) -> Markup:
    chart = kind(
        width=_WIDTH,
        height=_HEIGHT,
        style=Style(label_font_size=_LABEL, major_label_font_size=_LABEL),
        margin=8,
        margin_bottom=16,
        js=(),
        css=(),
        disable_xml_declaration=True,
        show_legend=False,
        show_minor_x_labels=False,
        truncate_label=-1,
        include_x_axis=True,
        max_scale=5,
        value_formatter=_short,
        **how,
    )
    labels = [_label(moment, times) for moment in times]
    chart.x_labels = labels
    chart.x_labels_major = labels[:: ceil(len(labels) / _MAJOR)]
    for name, values in series.items():
        chart.add(name, list(values))
    chart.add_xml_filter(_without_style)
    return Markup(chart.render(is_unicode=True))  # noqa: S704  # all that it holds are our words, times and numbers


def _without_style(tree: ET.Element) -> ET.Element:
    """Remove pygal's style and script, which our pages do not need and our content security policy forbids."""
    for parent in list(tree.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}style", f"{_SVG}script", "style", "script"):
                parent.remove(child)
            child.attrib.pop("style", None)
    del tree.attrib["id"]
    tree.attrib["aria-hidden"] = "true"  # the chart's caption and the page's tables say what matters
    return tree


def _label(moment: datetime, times: Sequence[datetime]) -> str:
    long = (times[-1] - times[0]).total_seconds() >= _DAY
    return moment.strftime("%m-%d %H:%M" if long else "%H:%M:%S")


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
