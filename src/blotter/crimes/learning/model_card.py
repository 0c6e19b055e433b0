"""The model card: what the model is, how good it is on months it never saw, and what it must not be used for.

Writes Markdown and the calibration plot (SVG by hand: forty lines beat a plotting library). Both are made from an
evaluation only, so the card cannot state anything that was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from blotter.crimes.learning.evaluation import Bin, Evaluation, GroupError
from blotter.crimes.learning.model import Manifest

PLOT = "images/model-calibration.svg"

DISCLAIMER = (
    "Data: City of Chicago Data Portal, “Crimes - 2001 to Present”. Addresses are given by block only. The City"
    " makes no claim as to accuracy, completeness or timeliness; classifications are preliminary and may change."
)


def write_card(
    path: Path,
    manifest: Manifest,
    evaluation: Evaluation,
    blanked: Mapping[tuple[str, ...], Mapping[str, float]],
    area_names: Mapping[str, str],
) -> None:
    """Writes the card and its plot. `blanked`: blanked columns → the metrics without them."""
    plot = path.parent / PLOT
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(calibration_plot(evaluation.bins), encoding="utf-8")
    path.write_text(_card(manifest, evaluation, blanked, area_names), encoding="utf-8")


def _card(
    manifest: Manifest,
    evaluation: Evaluation,
    blanked: Mapping[tuple[str, ...], Mapping[str, float]],
    area_names: Mapping[str, str],
) -> str:
    areas = sorted(evaluation.by_area, key=lambda group: (not group.name.isdigit(), group.name.zfill(3)))
    return f"""# Model card: probability of arrest

This file is written by `blotter crimes train`; edit `src/blotter/crimes/learning/model_card.py` instead.

| | |
| --- | --- |
| version | `{manifest.version}` |
| what it predicts | the probability that a reported incident is recorded with an arrest |
| method | gradient-boosted trees (LightGBM, text format) on {len(manifest.features)} features |
| trained on | {manifest.trained_rows:,} incidents, {manifest.trained_from} to {manifest.trained_to} |
| held out | {manifest.held_out_rows:,} incidents, {manifest.held_out_from} to {manifest.held_out_to} |

The held-out incidents are later than anything the model was trained on and were used for nothing but this page.

{DISCLAIMER}

## On the held-out months

{_metric_table(evaluation.metrics)}

![Calibration on the held-out months]({PLOT})

| probability | incidents | predicted | observed |
| --- | --- | --- | --- |
{_bin_rows(evaluation.bins)}

Calibration: boosted trees with a log-loss objective come out nearly calibrated. Because arrests are recorded late,
rates fall toward the end of a file, so a correction of the log-odds is fitted inside the training period: a first
model of its earlier months is tested on its last two. What is left above is drift, which no honest correction can
know.

## Features

Clock (hour, weekday, day, minute and whether it is a round one: officers write the minute of what they saw),
primary type, description, location description, domestic, community area, block and street, and arrest rates of
the training period by type, description, place, area, block, street and some of their pairs. The rates of a
training row come from other days than its own. Values are compared word by word, and older names and
abbreviations of the portal are read as the present ones. The incident's own arrest column is never read when
scoring.

## When something is not known

Columns a file lacks, values the model has never seen and days without a time are unknown to it, not guessed. A
third of the training rows were shown a second time with columns blanked at random, the crime type among them, so
that what is left is the base rate of what is still known. The held-out months, with columns blanked:

{_blanked_table(evaluation.metrics, blanked)}

## Error by community area

{_group_table("community area", areas, area_names)}

## Error by primary type

{_group_table("primary type", evaluation.by_type, {})}

## What it must not be used for

It learns what was recorded, and records follow where and how police work. A high probability says that incidents
recorded like this one often ended in an arrest; it says nothing about guilt, about people, or about where officers
should go. It must not be used for decisions about individuals or for patrol planning. It knows one city and nine
months of one year: expect it to be worse the further a file is from them. Groups with few incidents above have
figures with wide margins.
"""


def _metric_table(metrics: Mapping[str, float]) -> str:
    base_rate, base_brier = metrics["observed_rate"], metrics["brier_of_base_rate"]
    meanings = {
        "roc_auc": ("ROC AUC", "chance that an incident with arrest is ranked above one without"),
        "pr_auc": ("PR AUC", f"average precision; a model without skill has {base_rate:.4f}"),
        "brier": ("Brier score", f"mean squared error; always saying the average gives {base_brier:.4f}"),
        "calibration_error": ("calibration error", "mean distance of predicted and observed rate over the bins"),
        "calibration_error_by_type": ("… by primary type", "the same over crime types instead of bins"),
        "calibration_error_by_area": ("… by area", "the same over areas, where chance alone gives about 0.009"),
        "rate_drift": (
            "drift of the rate",
            "how far a week's predicted arrests lie from the recorded ones, relative, beyond chance",
        ),
        "predicted_rate": ("predicted rate", "mean probability"),
        "observed_rate": ("observed rate", "share of incidents with arrest"),
    }
    rows = [f"| {title} | {metrics[name]:.4f} | {meaning} |" for name, (title, meaning) in meanings.items()]
    return "\n".join(["| figure | value | meaning |", "| --- | --- | --- |", *rows])


def _blanked_table(metrics: Mapping[str, float], blanked: Mapping[tuple[str, ...], Mapping[str, float]]) -> str:
    lines = [
        "| not known | ROC AUC | PR AUC | Brier | calibration error | predicted | observed |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for names, found in {(): metrics, **blanked}.items():
        title = ", ".join(names).replace("_", " ") or "nothing"
        lines.append(
            f"| {title} | {found['roc_auc']:.4f} | {found['pr_auc']:.4f} | {found['brier']:.4f} |"
            f" {found['calibration_error']:.4f} | {found['predicted_rate']:.4f} | {found['observed_rate']:.4f} |"
        )
    return "\n".join(lines)


def _bin_rows(bins: Sequence[Bin]) -> str:
    return "\n".join(
        f"| {bin_.low:.1f}–{bin_.high:.1f} | {bin_.rows:,} | {bin_.predicted:.3f} | {bin_.observed:.3f} |"
        for bin_ in bins
    )


def _group_table(title: str, groups: Sequence[GroupError], names: Mapping[str, str]) -> str:
    lines = [
        f"| {title} | incidents | predicted | observed | difference | Brier | ROC AUC |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for group in groups:
        name = f"{group.name} {names[group.name]}" if group.name in names else group.name
        auc = "–" if group.roc_auc is None else f"{group.roc_auc:.3f}"
        lines.append(
            f"| {name} | {group.rows:,} | {group.predicted:.3f} | {group.observed:.3f} |"
            f" {group.predicted - group.observed:+.3f} | {group.brier:.4f} | {auc} |"
        )
    return "\n".join(lines)


def calibration_plot(bins: Sequence[Bin]) -> str:
    """An SVG: observed over predicted rate, a dot per bin sized by its rows, beside the diagonal."""
    size, margin = 360, 48

    def x(value: float) -> str:
        return f"{margin + value * size:.1f}"

    def y(value: float) -> str:
        return f"{margin + (1 - value) * size:.1f}"

    most = max(bin_.rows for bin_ in bins)
    steps = [step / 5 for step in range(6)]
    grid = "".join(
        f'<line x1="{x(step)}" y1="{y(0)}" x2="{x(step)}" y2="{y(1)}"/>'
        f'<line x1="{x(0)}" y1="{y(step)}" x2="{x(1)}" y2="{y(step)}"/>'
        for step in steps
    )
    labels = "".join(
        f'<text x="{x(step)}" y="{y(0)}" dy="16" text-anchor="middle">{step:.1f}</text>'
        f'<text x="{x(0)}" y="{y(step)}" dx="-8" dy="4" text-anchor="end">{step:.1f}</text>'
        for step in steps
    )
    dots = "".join(
        f'<circle cx="{x(bin_.predicted)}" cy="{y(bin_.observed)}" r="{3 + 9 * (bin_.rows / most) ** 0.5:.1f}">'
        f"<title>{bin_.rows:,} incidents: predicted {bin_.predicted:.3f}, observed {bin_.observed:.3f}</title>"
        "</circle>"
        for bin_ in bins
    )
    points = " ".join(f"{x(bin_.predicted)},{y(bin_.observed)}" for bin_ in bins)
    total = size + 2 * margin
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {total}" width="{total}"
 font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Observed over predicted arrest rate">
<rect width="{total}" height="{total}" fill="#ffffff"/>
<g stroke="#e3e6ea">{grid}</g>
<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="#9aa3ad" stroke-dasharray="5 4"/>
<polyline points="{points}" fill="none" stroke="#1d5fa8" stroke-width="1.5"/>
<g fill="#1d5fa8" fill-opacity="0.75">{dots}</g>
<g fill="#39424e">{labels}
<text x="{total / 2:.0f}" y="{total - 8}" text-anchor="middle">predicted probability of arrest</text>
<text transform="translate(14 {total / 2:.0f}) rotate(-90)" text-anchor="middle">observed arrest rate</text></g>
</svg>
"""
