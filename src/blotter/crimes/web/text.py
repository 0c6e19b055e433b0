"""Values as people read them: numbers, shares, sizes, durations, instants, weekdays, hours.

Pure functions, used as Jinja filters. Numbers and dates are written as in American English, whatever the viewer's
language, because the pages are. A missing value is an en dash, never "None" or a zero it is not; an instant stays
UTC here (the browser shows it in the viewer's zone, which it names, and keeps UTC in the title).
"""

from __future__ import annotations

from datetime import UTC, date, datetime

MISSING = "–"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SIZES = ("bytes", "kB", "MB", "GB", "TB")


def number(value: float | None) -> str:
    """A count with thousands separated: 215551 → "215,551". Fractions are rounded to whole."""
    return MISSING if value is None else f"{round(value):,}"


def tick(value: float) -> str:
    """A count on an axis, which is narrow: 150000 → "150,000", 600000000 → "600M"."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return number(value)


def amount(value: float | None) -> str:
    """An expected count: small ones keep a decimal, because 0.4 arrests are not none."""
    if value is None:
        return MISSING
    return f"{value:.1f}" if 0 < value < 9.95 else f"{round(value):,}"


def signed(value: float | None) -> str:
    """A difference with its sign: 527 → "+527", -12 → "−12"; a small one of expected counts keeps its decimal, as
    they do: 0.25 → "+0.2"."""
    if value is None:
        return MISSING
    shown = number(abs(value)) if value == round(value) else amount(abs(value))
    return "0" if shown in ("0", "0.0") else f"{'−' if value < 0 else '+'}{shown}"


def points(value: float | None) -> str:
    """A difference of shares in percentage points: 0.021 → "+2.1 points"."""
    if value is None:
        return MISSING
    shown = f"{abs(value) * 100:.1f} points"
    return shown if shown.startswith("0.0 ") else f"{'−' if value < 0 else '+'}{shown}"


def share(value: float | None) -> str:
    """A probability or share (0–1) in percent; below one tenth of a percent "< 0.1%" instead of "0.0%"."""
    if value is None:
        return MISSING
    if 0 < value < 0.001:
        return "<0.1%"
    if 0.999 < value < 1:
        return ">99.9%"
    return f"{value * 100:.1f}%"


def size(value: float | None) -> str:
    """Bytes in decimal units, as download dialogs show them: 37587 → "37.6 kB"."""
    if value is None:
        return MISSING
    amount, unit = float(value), 0
    while amount >= 1000 and unit < len(_SIZES) - 1:
        amount, unit = amount / 1000, unit + 1
    if amount == 1 and unit == 0:
        return "1 byte"
    return f"{amount:,.0f} {_SIZES[unit]}" if unit == 0 else f"{amount:.1f} {_SIZES[unit]}"


def duration(seconds: float | None) -> str:
    """Seconds for people: 0.83 → "0.8 s", 184 → "3 min 4 s"."""
    if seconds is None or seconds < 0:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def instant(value: str | datetime | None) -> datetime | None:
    """An ISO 8601 text or datetime as an aware UTC datetime; None when there is none or it cannot be read."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc(value: str | datetime | None) -> str:
    """An instant in UTC, to the second: "Nov 22, 2026, 1:06:09 PM UTC"."""
    moment = instant(value)
    if moment is None:
        return MISSING
    hour = moment.hour % 12 or 12
    return f"{day(moment.date())}, {hour}:{moment:%M:%S} {'AM' if moment.hour < 12 else 'PM'} UTC"


def day(value: str | date | None) -> str:
    """A day: "2022-01-31" → "Jan 31, 2022". What is no ISO day is shown as it is."""
    if value is None or value == "":
        return MISSING
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return str(value)
    return f"{MONTHS[value.month - 1]} {value.day}, {value.year}"


def iso(value: str | datetime | None) -> str:
    """An instant for `<time datetime>`: "2026-11-22T13:06:09Z"; empty when there is none."""
    moment = instant(value)
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def elapsed(start: str | datetime | None, end: str | datetime | None) -> float | None:
    """Seconds between two instants, None when either is missing."""
    begin, finish = instant(start), instant(end)
    return None if begin is None or finish is None else (finish - begin).total_seconds()


def title(value: str) -> str:
    """The portal's CAPITALS as a heading: "MOTOR VEHICLE THEFT" → "Motor vehicle theft"."""
    return value[:1].upper() + value[1:].lower() if value.isupper() else value


def sentence(value: str) -> str:
    """A message with a capital letter and an end: "the file is empty" → "The file is empty."."""
    text = value.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
