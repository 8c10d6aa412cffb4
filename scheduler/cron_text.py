"""CronText: a cron expression as its fields; the @words; and what to write instead of another number of fields.

PURE. Called by cron.py, and by second_opinion.py.
"""

from __future__ import annotations

from .cron_field import LAYOUTS, FieldText, parse_field
from .errors import ScheduleError

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def split_cron(expression: str, fields: int) -> tuple[str, ...]:
    """The fields of an expression, with an @word replaced by what it stands for. Raises: ScheduleError for another number of them."""
    found = tuple(expression.split())
    if found and found[0].startswith("@"):
        word = expression.strip().lower()
        if word not in WORDS:
            every = " or `every: 5m` for a fixed distance" if word.startswith("@every") else ""
            raise ScheduleError(
                f'"{expression}" is not a known word', help=f"one of {' '.join(WORDS)}{every}"
            )
        found = tuple(WORDS[word].split())
        found = found if fields == len(found) else ("0", *found, "*")[:fields]
    if len(found) != fields:
        noun = "field" if len(found) == 1 else "fields"
        names = " ".join(kind.noun for kind in LAYOUTS[fields])
        raise ScheduleError(
            f'"{expression}" has {len(found)} {noun}, expected {fields} ({names})',
            help=_other_number(found, fields),
        )
    return found


def _other_number(found: tuple[str, ...], fields: int) -> str:
    """What to write instead of another number of fields: Quartz and Spring write seconds first, and a year last."""
    match fields, len(found):
        case 5, 6 | 7:
            return _five_of(found)
        case (6, 5) | (7, 6):
            text = " ".join(("0", *found) if fields == 6 else (*found, "*"))  # noqa: PLR2004 - as in the case
            return f'write "{text}"'
        case 7, 5:
            return f'write "0 {" ".join(found)} *"'
        case 6, 7:
            return "a year is read with cron_fields: 7"
        case 5, _:
            return 'write * for a field that does not matter: "30 2 * * *" is every day at 02:30'
        case _:
            return "write * for a field that does not matter, and 0 for the second"


def _five_of(found: tuple[str, ...]) -> str:
    text = " ".join(found[1:6])
    if found[0] in ("0", "00") and found[6:] in ((), ("*",), ("?",)):
        text = text.replace("?", "*")
        if _is_readable(text):
            return f'the seconds field was dropped: "{text}"'
    return (
        f"seconds and years are read with cron_fields: {len(found)}; for a fixed distance write `every: 10s`"
    )


def _is_readable(text: str) -> bool:
    try:
        for place, (kind, field) in enumerate(zip(LAYOUTS[5], text.split(), strict=True)):
            parse_field(FieldText(kind=kind, text=field, place=place, expression=text))
    except ScheduleError:
        return False
    return True
