"""Kills every command that writes files at random moments, and looks at what is left.

    python benchmarks/kill_campaign.py --kills 200 -o benchmarks/kill_campaign.json

Each command first runs once without a kill. Then it is started again and again in the same folder, and its process
group is killed (SIGKILL) at a random moment of that time. After each kill, every file under a name that the user gave
must be absent or whole. If a command ends before its kill, and every `--verify`-th time, it runs to its end: it must
succeed and give the same as the first run, whatever the kills have left. Nothing is cleaned up between kills except
results that are complete.

The processes are forked from one that has imported the libraries, so that a kill costs a fraction of a second.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

NAME = "pose_hrnet_w16_demo_128x96"
VOLATILE = {"started", "environment", "command", "continued"}
PLAIN = ("--exporter", "torchscript", "--no-simplify")  # the fastest way to export
LIMIT = 600  # seconds after which a command counts as hanging


@dataclasses.dataclass(frozen=True)
class Target:
    """A command, the files and folders that it writes, whether it measures times, and the exit codes that it may have.
    `kept` are files that a later call continues from; they are removed only with complete outputs."""

    name: str
    arguments: Sequence[str]
    outputs: Sequence[str]
    measured: bool = False
    codes: Sequence[int] = (0,)
    kept: Sequence[str] = ()


TARGETS = (
    Target(
        "export",
        [
            "export",
            "tiny.pth",
            "-o",
            "made.onnx",
            "--report",
            "made.json",
            "--size",
            "96x64",
            "--exporter",
            "torchscript",
            "--no-simplify",
            "--images",
            "few",
        ],
        ["made.onnx", "made.json"],
    ),
    Target(
        "half",
        ["half", "tiny.onnx", "-o", "half.onnx", "--images", "few", "--report", "half.json"],
        ["half.onnx", "half.json"],
    ),
    Target(
        "quantize",
        [
            "quantize",
            "model.onnx",
            "-o",
            "int8.onnx",
            "--images",
            "people",
            "--calibration-images",
            "24",
            "--no-speed",
            "--calibration-cache",
            "statistics.npz",
            "--report",
            "int8.json",
            "--sensitivity",
            "costs.svg",
        ],
        ["int8.onnx", "int8.json", "costs.svg"],
        kept=["statistics.npz", "statistics.npz.notes.json"],
    ),
    Target(
        "predict", ["predict", "tiny.onnx", "people", "-o", "found", "--report", "found.json"], ["found", "found.json"]
    ),
    Target("predict (video)", ["predict", "tiny.onnx", "clip.mp4", "-o", "frames"], ["frames"]),
    Target("eval", ["eval", "tiny.onnx", "--data", "people", "-o", "eval.json"], ["eval.json"]),
    Target(
        "check",
        ["check", "tiny.onnx", "--against", "tiny.pth", "--images", "few", "-o", "check.json", "--junit", "check.xml"],
        ["check.json", "check.xml"],
    ),
    Target(
        "bench",
        ["bench", "tiny.onnx", "--seconds", "0.05", "--rounds", "6", "-o", "bench.json"],
        ["bench.json"],
        measured=True,
    ),
    Target(
        "tune",
        [
            "tune",
            "model.onnx",
            "-o",
            "best.onnx",
            "--images",
            "people",
            "--calibration-images",
            "24",
            "--max-drop",
            "4",
            "--minutes",
            "0.1",
            "--calibration-cache",
            "tuned.npz",
            "--report",
            "tune.json",
        ],
        ["best.onnx", "tune.json"],
        measured=True,
        kept=["tuned.npz", "tuned.npz.notes.json"],
    ),
    Target(
        "run",
        [
            "run",
            "tiny.pth",
            "-o",
            "all",
            "--images",
            "few",
            "--precision",
            "fp32,fp16",
            "--engine",
            "ort",
            "--seconds",
            "0.05",
        ],
        ["all"],
        measured=True,
        codes=(0, 1),
    ),
    Target("report", ["report", "one.json", "two.json", "-o", "page.html"], ["page.html"]),
    Target("compare", ["compare", "one.json", "two.json", "-o", "compared.json"], ["compared.json"]),
)


@dataclasses.dataclass
class Tally:
    """What happened to one command."""

    command: str
    seconds: float
    kills: int = 0
    ended_before: int = 0
    verified: int = 0
    torn: list[str] = dataclasses.field(default_factory=list)
    refused: list[str] = dataclasses.field(default_factory=list)
    different: list[str] = dataclasses.field(default_factory=list)
    left_over: int = 0


def start(arguments: Sequence[str], place: Path) -> int:
    """Run a command in a forked process with a group of its own. Returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        os.chdir(place)
        log = os.open("log.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        sys.argv = ["hrnet-deploy", *arguments]
        from hrnet_deploy.cli import main

        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    """The exit code of a process, or None if it still runs after that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def kill(pid: int) -> None:
    """End a process, its children and everything else in its group."""
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def files_of(place: Path, target: Target) -> Iterator[Path]:
    """The files under the names that the user gave."""
    for name in target.outputs:
        path = place / name
        if path.is_dir():
            yield from (p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.endswith(".part"))
        elif path.exists():
            yield path


def torn(path: Path) -> str:
    """Why a file is not whole; empty if it is."""
    import cv2
    import numpy as np
    import onnx

    whole: dict[str, Callable[[], Any]] = {
        ".onnx": lambda: onnx.checker.check_model(onnx.load(path)),
        ".json": lambda: json.loads(path.read_text()),
        ".npz": lambda: [np.load(path)[name] for name in np.load(path).files],
        ".png": lambda: np.asarray(cv2.imread(str(path))).shape[1],
        ".mp4": lambda: np.asarray(cv2.VideoCapture(str(path)).read()[1]).shape[1],
        ".svg": lambda: path.read_text().index("</svg>"),
        ".xml": lambda: path.read_text().index("</testsuite"),
        ".html": lambda: path.read_text().index("</html>"),
    }
    try:
        whole[path.suffix]()
    except Exception as error:
        return f"{path.name}: {type(error).__name__} {error}"
    return ""


def content(place: Path, target: Target) -> dict[str, Any]:
    """What a command has written, without times: results as JSON, names alone of what was measured."""
    found: dict[str, Any] = {}
    for path in files_of(place, target):
        name = str(path.relative_to(place))
        if target.measured or path.suffix == ".mp4":
            found[name] = "there"
        elif path.suffix == ".json":
            found[name] = _steady(json.loads(path.read_text()))
        else:
            found[name] = path.read_bytes()
    return found


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _steady(v) for k, v in value.items() if k not in VOLATILE}
    return [_steady(v) for v in value] if isinstance(value, list) else value


def remove(place: Path, target: Target) -> None:
    """Remove complete outputs, so that the command has to do everything again."""
    for name in (*target.outputs, *target.kept):
        path = place / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def campaign(target: Target, place: Path, kills: int, verify: int, rng: random.Random, minutes: float) -> Tally:
    """Kill one command that many times, or as often as the minutes allow."""
    began = time.monotonic()
    code = wait(start(target.arguments, place), LIMIT)
    tally = Tally(" ".join(target.arguments), time.monotonic() - began)
    if code not in target.codes:
        raise SystemExit(f"{target.name} ends with {code}: {(place / 'log.txt').read_text()[-2000:]}")
    wanted = content(place, target)
    remove(place, target)
    before = {p.name for p in place.iterdir()} | {p.name for p in Path(tempfile.gettempdir()).iterdir()}

    def finish(pid: int, why: str) -> None:
        ended = wait(pid, LIMIT)
        said = (place / "log.txt").read_text()[-500:]
        if ended not in target.codes:
            tally.refused.append(f"{why}: exit {ended}: {said}")
        elif (got := content(place, target)) != wanted:
            names = [n for n in {*got, *wanted} if got.get(n) != wanted.get(n)]
            tally.different.append(f"{why}: {', '.join(sorted(names))}")
        tally.verified += 1

    while tally.kills < kills and time.monotonic() - began < 60 * minutes:
        pid = start(target.arguments, place)
        code = wait(pid, rng.uniform(0.0, tally.seconds))
        if code is not None:
            tally.ended_before += 1
            if code not in target.codes and not any((place / n).exists() for n in target.outputs):
                tally.refused.append(f"after {tally.kills} kills: exit {code}: {(place / 'log.txt').read_text()}")
            elif code in target.codes and content(place, target) != wanted:
                tally.different.append(f"after {tally.kills} kills")
            remove(place, target)
            continue
        kill(pid)
        tally.kills += 1
        tally.torn += [f"after {tally.kills} kills: {reason}" for p in files_of(place, target) if (reason := torn(p))]
        if any((place / n).exists() for n in target.outputs[:1]) and target.name != "run":
            remove(place, target)  # the kill came after the output; the command would refuse to replace it
        if tally.kills % verify == 0:
            finish(start(target.arguments, place), f"after {tally.kills} kills")
            remove(place, target)
    finish(start(target.arguments, place), f"after all {tally.kills} kills")
    remove(place, target)
    after = {p.name for p in place.iterdir()} | {p.name for p in Path(tempfile.gettempdir()).iterdir()}
    tally.left_over = len(after - before - {"log.txt", *target.outputs})
    return tally


def prepare(place: Path) -> None:
    """The inputs of all commands."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "models" / "demo"))
    import cv2
    import generate
    import numpy as np
    import torch

    from hrnet_deploy import architecture as arch
    from hrnet_deploy.networks import build_network, random_weights

    generate.generate(place / "people", range(60), seed=10_004)
    generate.generate(place / "few", range(8), seed=10_004)
    writer = cv2.VideoWriter(str(place / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 12.0, (64, 96))
    for value in range(20):
        writer.write(np.full((96, 64, 3), 6 * value, np.uint8))
    writer.release()
    network = build_network(
        arch.PoseHRNet(
            arch.Body(
                stage1=arch.Stage(1, (1,), (8,), "bottleneck"),
                stages=(arch.Stage(1, (1, 1), (8, 16)), arch.Stage(1, (1, 1, 1), (8, 16, 32))),
                stem=8,
            ),
            keypoints=17,
        )
    )
    random_weights(network, seed=3)
    torch.save(network.state_dict(), place / "tiny.pth")
    for arguments in (
        ["export", NAME, "-o", "model.onnx", *PLAIN],
        ["export", "tiny.pth", "-o", "tiny.onnx", "--size", "96x64", *PLAIN],
        ["eval", "tiny.onnx", "--data", "few", "-o", "one.json"],
        ["eval", "tiny.onnx", "--data", "few", "--flip-test", "-o", "two.json"],
    ):
        if wait(start(arguments, place), LIMIT):
            raise SystemExit((place / "log.txt").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="for each command")
    parser.add_argument("--verify", type=int, default=20, help="every how many kills a command runs to its end")
    parser.add_argument("--minutes", type=float, default=60.0, help="the most for each command")
    parser.add_argument("--only", nargs="*", default=[t.name for t in TARGETS], help="names of commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=None)
    chosen = parser.parse_args()
    import cv2  # noqa: F401  (imported here once for all forks, as the following)
    import onnxruntime  # noqa: F401
    import onnxscript  # noqa: F401
    import torch.onnx.utils  # noqa: F401

    import hrnet_deploy.cli
    import hrnet_deploy.jobs.tune
    import hrnet_deploy.results.documents  # noqa: F401

    rng = random.Random(chosen.seed)
    tallies: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name, "work")
        temporary = Path(name, "tmp")
        place.mkdir()
        temporary.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        prepare(place)
        for target in (t for t in TARGETS if t.name in chosen.only):
            found = campaign(target, place, chosen.kills, chosen.verify, rng, chosen.minutes)
            tallies[target.name] = dataclasses.asdict(found)
            print(target.name, tallies[target.name], flush=True)
            if chosen.output is not None:
                chosen.output.write_text(json.dumps({"seed": chosen.seed, "commands": tallies}, indent=1) + "\n")
    if any(t[what] for t in tallies.values() for what in ("torn", "refused", "different")):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
