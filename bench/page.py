"""Page: Markdown tables, and the place in a document of docs/ where figures stand between two marks. The words around it are for people to write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown; the first is the head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write(document: Path, text: str, name: str) -> None:
    """Put `text` between <!-- name: begin --> and <!-- name: end --> in a document. Raises SystemExit when it has no such marks."""
    begin, finish = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    whole = document.read_text()
    before, mark, rest = whole.partition(begin)
    _, end, after = rest.partition(finish)
    if not mark or not end:
        raise SystemExit(f"{document} has no place for figures: {begin} ... {finish}")
    document.write_text(f"{before}{begin}\n{text}\n{finish}{after}")
