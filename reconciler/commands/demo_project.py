"""The sample project of the demo, its failing test, and the tasks that a scripted agent does for it.

It is text only.
"""

from pathlib import Path

from reconciler.repo.yaml import documents

FIX = "fix-greeting"
NOTE = "note-the-fix"

PROJECT = {
    "greet.sh": b'# Greets whoever is named.\necho "Hello, $1!"\n',
    "test.sh": b"""\
expect() {
  if [ "$1" = "$2" ]; then echo "ok      $2"; else echo "FAILED  expected '$2', got '$1'"; exit 1; fi
}
expect "$(sh greet.sh Ada)" "Hello, Ada!"
expect "$(sh greet.sh)" "Hello, world!"
""",
}

FIX_SCRIPT = """\
set -eu
echo "I run the test first:"
sh test.sh || echo "It fails, as the task says."
echo "Without a name, the greeting needs a default."
sed 's/\\$1/${1:-world}/' greet.sh > greet.new && mv greet.new greet.sh
echo "I run it again:"
sh test.sh
git -c user.name="Scripted agent" -c user.email=agent@localhost \\
  commit --quiet --all --message "Greet the world when nobody is named"
"""

NOTE_SCRIPT = """\
set -eu
sh test.sh
echo "- greet.sh greets the world when nobody is named" > CHANGES.md
echo "I leave the new file uncommitted; the reconciler commits and pushes it."
"""


def files(shipped: dict[str, bytes], project: Path, workdir: Path) -> dict[str, bytes]:
    """The files of the demo's fleet: the shipped ones, with this machine confined to `workdir`, and two tasks."""
    host = documents.dump({"transport": "local", "slots": 2, "workdir": str(workdir)})
    kept = {name: content for name, content in shipped.items() if not name.startswith("state/tasks/")}
    return {
        **kept,
        "state/settings.yaml": b"default_adapter: shell\n",
        "hosts/localhost.yaml": host,
        f"state/tasks/{FIX}.yaml": _task("Make the greeting pass its test", FIX_SCRIPT, project),
        f"state/tasks/{NOTE}.yaml": _task(
            "Note the fix in CHANGES.md", NOTE_SCRIPT, project, {"base": f"task/{FIX}", "depends_on": [FIX]}
        ),
    }


def _task(title: str, script: str, project: Path, more: dict[str, object] | None = None) -> bytes:
    return documents.dump({"title": title, "repository": str(project), **(more or {}), "goal": script})
