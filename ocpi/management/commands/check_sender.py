"""`manage.py check_sender URL --token …`: does an OCPI 2.2.1 Sender, ours or a CPO's, do what its peers rely on?"""

import json
import re
from argparse import ArgumentParser
from typing import Any

import requests
from django.core.management.base import BaseCommand, CommandError

from ocpi import conformance, rules
from ocpi.conformance import RULES, Level, Report

WORDS = {"broken": "BROKEN", "advice": "advice", "kept": "kept", "not seen": "not seen"}
WIDEST = 150


class Command(BaseCommand):
    """Crawl like a strict stranger, print a verdict."""

    help = (
        "Crawl an OCPI 2.2.1 Sender and say which rules it breaks: envelopes, credentials, versions, pages, filters, single "
        "objects, and every object by the rule book. URL is its versions, its details or one of its lists. Nothing is "
        "written there. Exit code 1 when a rule is broken that peers rely on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the options."""
        parser.add_argument("url", metavar="URL", help="for example https://cpo.example/ocpi/versions")
        parser.add_argument("--token", default="", help="for Authorization: Token; sent in Base64 and raw")
        parser.add_argument("--token-url", default="", help="OAuth2 instead: where an access token is fetched")
        parser.add_argument("--client-id", default="", help="OAuth2 client")
        parser.add_argument("--client-secret", default="", help="OAuth2 client's secret")
        parser.add_argument("--limit", type=int, help="page size of the crawl (the server's own)")
        parser.add_argument("--most-pages", type=int, default=10_000, help="stop a crawl after so many (%(default)s)")
        parser.add_argument("--format", choices=("text", "json"), default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        """Visit, print, and exit with 1 where a rule is broken. Raises CommandError when there is nobody to talk to."""
        if not options["token"] and not options["token_url"]:
            raise CommandError("Give --token, or --token-url with --client-id and --client-secret.")
        if not re.fullmatch(r"[!-~]*", options["token"]):
            raise CommandError("--token: printable characters without blanks are expected.")
        is_text = options["format"] == "text"
        try:
            bearer = _bearer(options) if options["token_url"] else ""
            report = conformance.check_sender(
                conformance.Sender(options["url"], token="" if bearer else options["token"], bearer=bearer),
                limit=options["limit"],
                most_pages=options["most_pages"],
                examine=examine,
                say=lambda line: self.stderr.write(f"… {_printable(line)}") if is_text else None,
            )
        except conformance.Unreachable as error:
            raise CommandError(f"No answer: {_printable(str(error))}") from error
        self.stdout.write(as_text(report) if is_text else as_json(report))
        if not report.is_sound:
            raise SystemExit(1)


def examine(kind: str, document: dict[str, Any]) -> dict[str, list[str]]:
    """Return what the rule book says against one object."""
    verdict = rules.check("location" if kind == "location" else "tariff", document)
    return {"objects": _told(verdict.errors), "dot-nl": _told(verdict.gaps)}


def _told(findings: list[rules.Finding]) -> list[str]:
    return [f"{one.path} {one.message} ({one.rule})" for one in findings[:5]]


def _bearer(options: dict[str, Any]) -> str:
    """Fetch an access token. Raises CommandError."""
    form = {"grant_type": "client_credentials"} | {name: options[name] for name in ("client_id", "client_secret")}
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(options["token_url"], data=form, timeout=30, allow_redirects=False)
        return str(answer.json()["access_token"])
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"No access token from {options['token_url']}: {type(error).__name__}") from error


# --- The verdict -------------------------------------------------------------------------------------------------------


def _states(report: Report) -> dict[str, list[str]]:
    """Return the rules by what became of them."""
    states: dict[str, list[str]] = {name: [] for name in WORDS}
    for rule in RULES.values():
        state = report.state(rule.id)
        states["advice" if state == "broken" and rule.level is Level.ADVICE else state].append(rule.id)
    return states


def as_text(report: Report) -> str:
    """Return the verdict for a terminal."""
    states = _states(report)
    seen = ", ".join(f"{count:,} {module}" for module, count in report.objects.items()) or "no lists"
    lines = [f"Seen: {seen}, {report.pages} pages, in {report.seconds:.1f} s.", ""]
    for state in ("broken", "advice"):
        for name in states[state]:
            rule = RULES[name]
            count = f"{report.broken[name]:,} of {report.looked[name]:,}"
            lines += [f"{WORDS[state]:<9} {name}: {rule.words} ({count}; {rule.source})"]
            lines += [f"{'':<10}{_printable(example)}" for example in report.examples[name]]
    for state in ("kept", "not seen"):
        if states[state]:
            lines.append(f"{WORDS[state]:<9} {', '.join(states[state])}")
    verdict = (
        f"{len(states['broken'])} rules are broken that peers rely on: they may lose data, or stop."
        if states["broken"]
        else "Every rule that peers rely on is kept."
    )
    more = f" {len(states['advice'])} pieces of advice." if states["advice"] else ""
    return "\n".join([*lines, "", verdict + more])


def as_json(report: Report) -> str:
    """Return the verdict for a script."""
    states = {name: state for state, names in _states(report).items() for name in names}
    found = [
        {
            "rule": rule.id, "state": states[rule.id], "level": rule.level, "words": rule.words, "source": rule.source,
            "looked": report.looked[rule.id], "broken": report.broken[rule.id], "examples": report.examples.get(rule.id, []),
        }
        for rule in RULES.values()
    ]  # fmt: skip
    told = {"sound": report.is_sound, "objects": report.objects, "pages": report.pages, "seconds": report.seconds}
    return json.dumps(told | {"rules": found}, indent=2)


def _printable(text: str) -> str:
    """Return at most a line of what others wrote, which cannot steer the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)[:WIDEST]
