"""`ak test_email ADDRESS`"""

from django.core.management.base import BaseCommand

from authentik.stages.email.utils import template_email


class Command(BaseCommand):
    """Send a message through the configured server"""

    help = __doc__

    def add_arguments(self, parser) -> None:
        parser.add_argument("to")

    def handle(self, *args, **options) -> None:
        to = options["to"]
        template_email("authentik Test-Email", [to], "setup", {"to": to}).send()
        self.stdout.write(f"Sent to {to}")
