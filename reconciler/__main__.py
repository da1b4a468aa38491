"""The console command; here, and nowhere else, the clock, the environment and randomness are read.

It has no logic of its own.
"""

import os
import secrets
import sys
import time
import traceback
from datetime import UTC, datetime
from wsgiref.types import WSGIApplication

from reconciler.commands import everything
from reconciler.commands.collection import collection
from reconciler.commands.program import Reconciler
from reconciler.commands.session import Outside
from reconciler.web.address import Address
from reconciler.web.server import Server

TOKEN_BYTES = 32


def _serve(application: WSGIApplication, address: Address) -> Server:
    from reconciler import serving  # noqa: PLC0415 - of all commands only `reconcile` serves

    return serving.serve(application, address)


_OUTSIDE = Outside(
    env=dict(os.environ),
    now=lambda: datetime.now(UTC),
    clock_s=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    new_token=lambda: secrets.token_urlsafe(TOKEN_BYTES),
    serve=_serve,
)


def __getattr__(name: str) -> object:
    """`namespace`: all commands, for `tasks.py` of a fleet: `invoke NAME` is `reconciler NAME`."""
    if name != "namespace":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return collection(everything.commands(), _OUTSIDE)


def main() -> None:
    """Run the command line that the process was started with."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - closed by whoever started us (`>&-`)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115 - likewise
    try:
        commands = everything.needed(sys.argv[1:])
        Reconciler(commands, collection(commands, _OUTSIDE)).run(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a defect is told in one line, not hidden
        if "RECONCILER_TRACEBACK" in os.environ:
            traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"  # noqa: PTH119 - a name, not a path to open
        said = " ".join(str(error).split())
        message = f"reconciler: a defect at {where}: {type(error).__name__}: {said}"
        sys.exit(f"{message}; please report it, with what RECONCILER_TRACEBACK=1 shows")


if __name__ == "__main__":
    main()
