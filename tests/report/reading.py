"""A page read back from its source, for tests."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "input", "img", "link", "hr"}


class Page(HTMLParser):
    """A page's elements, its visible text, and the tables' cells; an element that is never closed is a fault."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.text = self.style = ""
        self.feed(text)
        self.close()
        assert not self._open
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Elements close in the order they were opened."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what people read apart from what runs."""
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.text += data
            if {"td", "th"} & set(self._open):
                self.rows[-1][-1] += data

    def row(self, *starts: str) -> list[str]:
        """The first row whose cells begin with these texts."""
        tidy = [[" ".join(cell.split()) for cell in row] for row in self.rows]
        return next(row for row in tidy if row[: len(starts)] == list(starts))
