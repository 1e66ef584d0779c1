"""`manage.py rules`: the whole rule book, in either language, for a terminal, a document or a program."""

import json
import shutil
import textwrap
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ocpi.rules import LANGUAGES
from ocpi.rules.listing import Line, Section, sections

SEVERITIES = ("error", "gap", "warning", "advice", "principle")
WIDEST = 120  # nobody reads longer lines


class Command(BaseCommand):
    """Print what the gateway checks. Needs no data."""

    help = (
        "List every rule: error (refused), gap (stored, but kept from NDW), warning (accepted), advice (what the law asks "
        "next; blocks nothing) and principle (how the gateway behaves)."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the options."""
        parser.add_argument("id", nargs="*", metavar="ID", help="for example L-10 N-energy_mix; all when none is named")
        parser.add_argument("--severity", choices=SEVERITIES, help="only rules of this severity")
        parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the rules (en)")
        parser.add_argument(
            "--format", choices=("table", "markdown", "json"), default="table", help="of the output (table)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the book, or the part that was asked for. Raises CommandError for an id that is not in it."""
        book = sections(options["lang"])
        wanted = {rule.lower() for rule in options["id"]}
        known = {line.id.lower() for section in book for line in section.lines}
        if unknown := [rule for rule in options["id"] if rule.lower() not in known]:
            raise CommandError(f"Not in the book: {', '.join(unknown)}. Without an id all rules are listed.")
        part = [Section(one.title, _chosen(one.lines, wanted, options["severity"])) for one in book]
        write = {"table": self.write_table, "markdown": self.write_markdown, "json": self.write_json}
        write[options["format"]]([section for section in part if section.lines])

    def write_table(self, book: list[Section]) -> None:
        """Write ids, severities and words in columns that fit the terminal."""
        lines = [line for section in book for line in section.lines]
        left = max((len(line.id) for line in lines), default=0) + 2
        right = max((len(line.severity) for line in lines), default=0) + 2
        width = min(shutil.get_terminal_size().columns, WIDEST)
        for section in book:
            self.stdout.write(self.style.MIGRATE_HEADING(section.title))
            for line in section.lines:
                start = line.id.ljust(left) + line.severity.ljust(right)
                for text in filter(None, [line.text, line.hint, f"[{line.source}]"]):
                    indent = " " * (left + right)
                    wrapped = textwrap.wrap(text, max(20, width - left - right), break_on_hyphens=False)
                    for part in wrapped:
                        self.stdout.write(start + part)
                        start = indent
            self.stdout.write("")
        self.stdout.write(f"{len(lines)} rules.")

    def write_markdown(self, book: list[Section]) -> None:
        """Write a table for each section."""
        for section in book:
            self.stdout.write(
                f"## {section.title}\n\n| Rule | Severity | What | Hint | Source |\n|---|---|---|---|---|"
            )
            for line in section.lines:
                cells = (line.id, line.severity, line.text, line.hint, line.source)
                self.stdout.write("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
            self.stdout.write("")

    def write_json(self, book: list[Section]) -> None:
        """Write one list."""
        found = [{"section": section.title} | asdict(line) for section in book for line in section.lines]
        for one in found:
            del one["anchor"]
        self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False))


def _chosen(lines: list[Line], ids: set[str], severity: str | None) -> list[Line]:
    return [line for line in lines if (not ids or line.id.lower() in ids) and severity in (None, line.severity)]
