"""The console command; here, and nowhere else, the clock, the environment and randomness are read.

It has no logic of its own.
"""

import os
import secrets
import sys
import time
import traceback
from datetime import UTC, datetime

from reconciler import serving
from reconciler.commands.collection import collection
from reconciler.commands.everything import COMMANDS
from reconciler.commands.program import Reconciler
from reconciler.commands.session import Outside

TOKEN_BYTES = 32

_OUTSIDE = Outside(
    env=dict(os.environ),
    now=lambda: datetime.now(UTC),
    clock_s=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    new_token=lambda: secrets.token_urlsafe(TOKEN_BYTES),
    serve=serving.serve,
)

namespace = collection(COMMANDS, _OUTSIDE)
"""All commands, for `tasks.py` of a fleet: `invoke NAME` is `reconciler NAME`."""


def main() -> None:
    """Run the command line that the process was started with."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - closed by whoever started us (`>&-`)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115 - likewise
    try:
        Reconciler(COMMANDS, namespace).run(sys.argv)
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
