"""`python -m tests.fuzz --seconds 60 --reader annotations`: mutate files for one reader, or for all in turns."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "models/demo")]


def main() -> int:
    """Print a line per reader and a line per fault. The exit code is 1 if there was a fault."""
    from fuzz.harness import Outcome, fuzz
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--reader", action="append", choices=sorted(TARGETS), help="one of the readers; may be repeated"
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long each reader is given inputs")
    parser.add_argument("--turns", type=int, default=1, help="readers take turns: so many of --seconds for each")
    parser.add_argument("--start", type=int, default=0, help="the number of the first input")
    parser.add_argument("--json", type=Path, help="write the figures into this file, after every turn")
    arguments = parser.parse_args()
    readers = arguments.reader or list(TARGETS)
    known = {r: Outcome(r, next=arguments.start) for r in readers}
    spent = dict.fromkeys(readers, 0.0)
    with tempfile.TemporaryDirectory(prefix="hrnet-deploy-fuzz-") as folder:
        for reader in readers * arguments.turns:
            begun, all_of_it = time.monotonic(), known[reader]
            made = fuzz(reader, Path(folder), all_of_it.next, sys.maxsize, arguments.seconds)
            all_of_it.inputs += made.inputs
            all_of_it.accepted += made.accepted
            all_of_it.faults += made.faults
            all_of_it.next = made.next
            spent[reader] += time.monotonic() - begun
            print(f"{reader}: {all_of_it.inputs} inputs, {all_of_it.accepted} accepted, {len(all_of_it.faults)} faults")
            for fault in made.faults:
                print(f"  {reader} {fault.number}: {fault.what}")
            sys.stdout.flush()
            if arguments.json:
                figures = {
                    r: {
                        "inputs": o.inputs,
                        "accepted": o.accepted,
                        "seconds": round(spent[r]),
                        "faults": [f"{f.number}: {f.what}" for f in o.faults],
                    }
                    for r, o in known.items()
                }
                arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(any(o.faults for o in known.values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        from fuzz.harness import work

        os.environ["HRNET_DEPLOY_DEBUG"] = "1"  # so that a fault of a command shows where it is
        reader, workplace, start, stop = sys.argv[2:]
        work(reader, Path(workplace), int(start), int(stop))
    else:
        sys.exit(main())
