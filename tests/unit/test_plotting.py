from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

import llmkit as lk
from llmkit.plotting.figure import MIME_TYPE
from llmkit.plotting.intervals import mean_interval, student_t

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "<b>x</b> datum['y'].z"


@pytest.fixture
def comparison(scripted: Callable[..., lk.Session]) -> lk.Comparison:
    made = scripted("one two three").compare("{x}", x=["a", HOSTILE], temperature=[0, 1], repeat=3)
    assert made.wait(10)
    return made


def test_a_plot_is_a_chart_a_picture_and_words(comparison: lk.Comparison, tmp_path: Path) -> None:
    figure = comparison.plot("characters")
    bundle, metadata = figure._repr_mimebundle_()
    assert set(bundle) == {MIME_TYPE, "image/png", "text/plain"}
    assert bundle[MIME_TYPE]["$schema"].endswith("v5.6.1.json")
    assert metadata["image/png"]["width"] > 50
    assert figure.frame["count"].tolist() == [3, 3, 3, 3]
    assert figure.frame["mean"].tolist() == [13.0] * 4
    assert "length (characters) by x and temperature" in bundle["text/plain"]
    written = figure.save(tmp_path / "it.json").read_text(encoding="utf-8")
    assert json.loads(written)["config"]["background"] == "transparent"


def test_labels_of_a_plot_are_text(comparison: lk.Comparison, tmp_path: Path) -> None:
    svg = comparison.plot("characters", x="x").save(tmp_path / "it.svg").read_text(encoding="utf-8")
    assert "<b>" not in svg
    assert "&lt;b&gt;x&lt;/b&gt; datum['y'].z" in svg


def test_a_metric_that_isnt_there_is_refused_with_those_that_are(comparison: lk.Comparison) -> None:
    with pytest.raises(lk.ValidationError, match=r"no metric 'speed'\. Metrics: .*tokens_per_second"):
        comparison.plot("speed")
    with pytest.raises(lk.ValidationError, match="no factor 'model'"):
        comparison.plot("characters", x="model")


def test_a_session_plots_its_runs(scripted: Callable[..., lk.Session]) -> None:
    session = scripted("a b c")
    with pytest.raises(lk.ValidationError, match="nothing to plot"):
        session.plot()
    for _ in range(2):
        session.complete("Hi").wait()
    figure = session.plot("output_tokens")
    assert figure.frame["value"].tolist() == [3.0, 3.0]
    assert "2 runs: 3 on average" in repr(figure)
    with pytest.raises(lk.ValidationError, match=r"Metrics: .*total_time"):
        session.plot("speed")


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622)])
def test_students_t_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert student_t(0.975, freedom) == pytest.approx(expected, rel=5e-3)


def test_an_interval_needs_two_values() -> None:
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, -0.4841, 4.4841), rel=1e-3)
    assert math.isnan(mean_interval([1.0])[1])
