"""Forget a user's authenticator app: a lost phone."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants import second_factor


class Command(BaseCommand):
    """`manage.py reset_second_factor NAME`."""

    help = "Forget a user's authenticator app and backup codes, for somebody who has lost the phone."

    def add_arguments(self, parser: CommandParser) -> None:
        """Ask for the user."""
        parser.add_argument("username", help="The name the user logs in with.")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        """Forget them."""
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        count = second_factor.forget(user)
        self.stdout.write("Forgotten." if count else f"{username} has no second factor.")
