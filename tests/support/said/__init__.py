"""Notes which places of the package make an error, if HRNET_DEPLOY_SAID names a file for it.

`make test` sets it, and `docs/error_table.py` compares the file with all places that can. The folder `start` is put on
PYTHONPATH, so that processes which tests start note theirs too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

START = Path(__file__).parent / "start"


def record() -> None:
    """Note the errors of this process, and of those that it starts."""
    if not os.environ.get("HRNET_DEPLOY_SAID"):
        return
    os.environ["HRNET_DEPLOY_SAID"] = str(Path(os.environ["HRNET_DEPLOY_SAID"]).resolve())
    paths = os.environ.get("PYTHONPATH", "")
    if str(START) not in paths.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (str(START), paths) if p)
    sys.path.append(str(START))
    import sitecustomize  # type: ignore[import-not-found, unused-ignore]

    if hasattr(sitecustomize, "watch"):
        sitecustomize.watch()
