"""Captured output of the real CLIs, and the shipped adapters that must read it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.core import output
from reconciler.core.desired import Adapter
from reconciler.core.output import Events, RawOutput
from reconciler.repo import schemas, storage
from reconciler.repo.yaml import documents

CAPTURES = Path(__file__).parent / "fixtures" / "clis"
ADAPTERS = Path(__file__).parents[2] / "adapters"
NAMES = {"claude": "claude-code"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One run of a real CLI: the folder, and the adapter in the output format that this run was asked for."""

    folder: Path
    adapter: Adapter

    @property
    def stdout(self) -> bytes:
        return _bytes(self.folder / "stdout")

    @property
    def expected(self) -> dict[str, object]:
        expected: dict[str, object] = json.loads((self.folder / "expect.json").read_text())
        return expected

    def read(self, stdout: bytes | None = None) -> RawOutput:
        """What the program would make of the run; `stdout` in place of what was captured."""
        return read(
            self.adapter,
            self.stdout if stdout is None else stdout,
            stderr=_bytes(self.folder / "stderr"),
            exit_code=int((self.folder / "exit").read_text()),
            files={name: _bytes(self.folder / "files" / path) for name, path in self.adapter.output.files.items()},
        )


def read(
    adapter: Adapter,
    stdout: bytes,
    *,
    stderr: bytes = b"",
    exit_code: int | None = 0,
    files: dict[str, bytes] | None = None,
) -> RawOutput:
    """The output of a run that has ended."""
    events = Events(adapter.output.format)
    events.feed(stdout)
    return replace(
        events.read(ended=True),
        stderr_tail=output.tail(stderr),
        exit_code=exit_code,
        signal=output.signal_name(exit_code),
        files={name: output.file_value(data) for name, data in (files or {}).items() if data},
    )


def adapter(name: str) -> Adapter:
    """A shipped adapter, read as the program reads it."""
    path = ADAPTERS / f"{name}.yaml"
    parsed = documents.parse(path.read_bytes(), path.name)
    assert schemas.validate("adapter", parsed, path.name) == ()
    return storage.structure(Adapter, parsed.data)


def every() -> list[str]:
    """The names of all captures."""
    return [str(path.parent.relative_to(CAPTURES)) for path in sorted(CAPTURES.rglob("expect.json"))]


def capture(name: str) -> Capture:
    """One capture by its name, such as `codex-0.169.0/resume/first`."""
    folder = CAPTURES / name
    cli = name.partition("-")[0]
    shipped = adapter(NAMES.get(cli, cli))
    argv = json.loads((folder / "argv.json").read_text())
    if cli not in {"codex", "opencode", "copilot"} and "stream-json" not in argv:
        shipped = replace(shipped, output=replace(shipped.output, format="json"))
    return Capture(folder=folder, adapter=shipped)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
