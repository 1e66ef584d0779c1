"""How a strict stranger sees an OCPI 2.2.1 Sender: only over HTTP, with nothing of the gateway's own code in it."""

from ocpi.conformance.book import RULES, Level, Report, Rule
from ocpi.conformance.caller import Unreachable
from ocpi.conformance.sender import Sender, check_sender

__all__ = ["RULES", "Level", "Report", "Rule", "Sender", "Unreachable", "check_sender"]
