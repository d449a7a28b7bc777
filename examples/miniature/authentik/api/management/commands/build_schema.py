"""`ak build_schema`: schema.yml, from which the clients are generated"""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

FILE = Path("schema.yml")


def schema() -> str:
    """The description of the API, as the code has it"""
    generator = SchemaGenerator()
    return OpenApiYamlRenderer().render(generator.get_schema(public=True)).decode()


class Command(BaseCommand):
    """Write schema.yml, or see whether it is up to date"""

    help = __doc__

    def add_arguments(self, parser) -> None:
        parser.add_argument("--file", type=Path, default=FILE)
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; fail if it differs"
        )

    def handle(self, *args, file: Path, check: bool, **options) -> None:
        text = schema()
        if not check:
            file.write_text(text, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != text:
            raise CommandError(f"{file} is out of date: run `ak build_schema`")
