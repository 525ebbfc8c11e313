"""`muxq schema`."""

from typing import Annotated

import typer

from runner.cli.printing import print_json


def schema(_as_json: Annotated[bool, typer.Option("--json", help="Print JSON, which it does anyway.")] = False) -> None:
    """Print the JSON Schema of the job file."""
    from runner.jobs import schema

    print_json(schema.schema())
