"""Write the published JSON Schemas: `python -m tools.write_schemas DIRECTORY`."""

import json
import sys
from pathlib import Path

from mlxk.cli.output.schemas import schema_of, schemas


def main(directory: Path) -> None:
    """Write one file per command that has a schema."""
    directory.mkdir(parents=True, exist_ok=True)
    for command in schemas():
        text = json.dumps(schema_of(command), indent=2, ensure_ascii=False)
        (directory / f"{command}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
