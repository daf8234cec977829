"""A figure: an interactive chart that is also a picture, a table and a line of text."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.terminal import printable

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

# JupyterLab 4.4 to 4.6, Notebook 7 and VS Code render Vega-Lite up to 5. Altair 6 writes Vega-Lite 6, of which the
# charts here use nothing that 5 hasn't.
MIME_TYPE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.6.1.json"

SUFFIXES = (".png", ".svg", ".html", ".json", ".pdf")
PICTURE_SCALE = 2
"""Pixels of the picture per point of the chart."""


class Figure:
    """A chart that shows itself in JupyterLab and stays legible in a saved notebook.

    A notebook's output holds it three times: as Vega-Lite, which JupyterLab draws anew, as a picture for GitHub,
    nbviewer and nbconvert, and as text.

    Parameters
    ----------
    chart : altair.Chart
        What to draw.
    frame : DataFrame
        The numbers in it.
    summary : str
        What it shows, in words.
    """

    def __init__(self, chart: alt.Chart | alt.LayerChart, frame: pd.DataFrame, summary: str) -> None:
        self._chart = chart
        self._frame = frame
        self._summary = summary

    @property
    def chart(self) -> alt.Chart | alt.LayerChart:
        """The chart, to go on with in altair."""
        return self._chart

    @property
    def frame(self) -> pd.DataFrame:
        """The numbers that are drawn."""
        return self._frame

    @property
    def spec(self) -> dict[str, Any]:
        """The chart in Vega-Lite, its data included."""
        import altair as alt

        # The data goes along, whatever transformer the user has set, and however many rows there are.
        with alt.data_transformers.enable("default", max_rows=None):
            spec: dict[str, Any] = self._chart.to_dict()
        return spec

    @property
    def png(self) -> bytes:
        """The picture, transparent where nothing is drawn."""
        import vl_convert

        return bytes(vl_convert.vegalite_to_png(json.dumps(self.spec), scale=PICTURE_SCALE))

    @property
    def svg(self) -> str:
        """The picture as SVG."""
        import vl_convert

        return str(vl_convert.vegalite_to_svg(json.dumps(self.spec)))

    def save(self, path: str | Path) -> Path:
        """Write the figure to a file: ``.png``, ``.svg``, ``.pdf``, ``.html`` or ``.json`` (Vega-Lite).

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ValidationError
            For another suffix.
        """
        import vl_convert

        place = Path(path).expanduser()
        spec = json.dumps(self.spec)
        match place.suffix.lower():
            case ".png":
                place.write_bytes(self.png)
            case ".svg":
                place.write_text(self.svg, encoding="utf-8")
            case ".pdf":
                place.write_bytes(vl_convert.vegalite_to_pdf(spec))
            case ".html":
                place.write_text(vl_convert.vegalite_to_html(spec, bundle=True), encoding="utf-8")
            case ".json":
                place.write_text(spec, encoding="utf-8")
            case suffix:
                raise ValidationError(
                    f"{suffix or 'A path without a suffix'} can't be written; use one of {', '.join(SUFFIXES)}.",
                    field="path",
                )
        return place

    def __repr__(self) -> str:
        return printable(f"{self._summary}\n\n{self._frame.to_string(index=False, max_rows=40)}")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the chart, its picture and its text, and the picture's size."""
        png = self.png
        width, height = (int.from_bytes(png[place : place + 4], "big") // PICTURE_SCALE for place in (16, 20))
        bundle = {
            MIME_TYPE: {**self.spec, "$schema": SCHEMA},
            "image/png": base64.b64encode(png).decode("ascii"),
            "text/plain": repr(self),
        }
        wanted = set(include or bundle) - set(exclude or ())
        metadata = {"image/png": {"width": width, "height": height}}
        return {kind: value for kind, value in bundle.items() if kind in wanted}, metadata
