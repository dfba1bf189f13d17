"""unetseg and three other tools on the same slices for the same minutes, on this machine.

    python benchmarks/peers.py --stacks data/isbi2012

torch-em, BiaPy and nnU-Net are installed by pip, each in an environment of its own, without a GPU.
For each block of slices to hold out, and each length, every tool is given the other slices, trains
from random weights for so many minutes of its own loop (its validation and checkpoints included;
start, conversion and planning apart), and predicts the block with its own command: averaged over
flips where its documentation has that (BiaPy, nnU-Net, unetseg), and for torch-em also by what its
user can write for it. unetseg runs from nothing, and as it does when nothing is said: from the
model that comes with it. `unetseg evaluate` scores all. What a user has to write lies in
benchmarks/peers/ and is counted without comments and docstrings, each command as one line more.

All three peers were made for GPUs, where they take many more steps in the same time. Their authors
recommend nothing for minutes on a CPU, so these are their documented settings but for what others
found to do better on these slices: in torch-em patches of 256, two in a step, standardised, at
1e-3; in BiaPy the plain U-Net, and one cycle up to 1e-3; in nnU-Net patches of 256, four in a step,
its AdamW of 1e-3, and training on all slices. BiaPy counts epochs, so a trial measures how long one
takes. nnU-Net's trainer ends by the clock, with its decay of the rate laid out in time.

Memory is that of all processes together, pages that they share counted once. Needs Linux, psutil
and some 5 GB of disk for environments. Other work on the machine changes the scores. Writes a
result for each run, and table.md. The same command goes on where it was stopped; more --seeds add
runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile
from peer_jobs import DEFAULT, FROM_NOTHING, Job, install

TITLES = {"torch-em": "torch-em", "biapy": "BiaPy", "nnunet": "nnU-Net"}
MEASURES = {"v_rand": "V_Rand", "v_info": "V_Info"}

Result = dict[str, Any]


def measure(command: Sequence[str], job: Job) -> tuple[float, int]:
    """Run a command of a job: its seconds, and the most bytes that its processes held."""
    log = job.folder / "log.txt"
    with log.open("a") as file:
        began = time.monotonic()
        process = psutil.Popen(
            command, env=job.environment(), stdout=file, stderr=file, cwd=job.folder
        )
        most, ended = 0, threading.Event()

        def watch() -> None:
            nonlocal most
            while not ended.wait(1):
                most = max(most, held_by(process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            code = process.wait()
        finally:
            ended.set()
            watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}; see {log}")
    return time.monotonic() - began, most


def held_by(process: psutil.Process) -> int:
    """Bytes that a process and its descendants hold, shared pages counted once."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            memory = one.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    except psutil.Error:  # ended in between
        pass
    return total


def write_stacks(stacks: Path, job: Job) -> None:
    """Give a job its slices: those to train on, and those held out."""
    first, last = map(int, job.held_out.split("-"))
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    for kind in ("volume", "labels"):
        whole = tifffile.imread(stacks / f"train-{kind}.tif")
        held_out = np.isin(np.arange(len(whole)), range(first, last + 1))
        for name, chosen in (("train", ~held_out), ("test", held_out)):
            path = job.folder / f"{name}-{kind}.tif"
            axes = {"axes": "ZYX"}
            tifffile.imwrite(path, whole[chosen], photometric="minisblack", metadata=axes)


def score(job: Job, name: str) -> Result:
    """What `unetseg evaluate` says of a prediction, at the best threshold and at 0.5."""
    command = [sys.executable, "-m", "unetseg", "evaluate", "--json", "--quiet"]
    command += ["--prediction", str(job.prediction(name))]
    command += ["--labels", str(job.folder / "test-labels.tif")]
    command += ["--output", str(job.folder / "scores" / name)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    data = json.loads(told)
    middle = data["curves"]["threshold"].index(0.5)
    at_half = {f"{key}_at_half": data["curves"][key][middle] for key in MEASURES}
    return {**{key: data[key] for key in MEASURES}, **at_half}


def run(job: Job, stacks: Path) -> Result:
    """Train, predict and score, unless that is done."""
    if job.result.exists():
        return read(job.result)
    versions = install(job.tool, job.environments)
    write_stacks(stacks, job)
    seconds: dict[str, float] = {}
    memory: dict[str, int] = {}
    scores: dict[str, Result] = {}
    for name, commands in job.commands().items():
        spent = [measure(command, job) for command in commands]
        seconds[name], memory[name] = sum(one for one, _ in spent), max(one for _, one in spent)
        if name.startswith("predict"):
            scores[name] = score(job, name)
    found = {
        **{name: getattr(job, name) for name in ("tool", "held_out", "minutes", "seed")},
        **{"seconds": seconds, "memory": memory, "scores": scores, "versions": versions},
        **{"training": job.training(), "written": job.written()},
    }
    job.result.parent.mkdir(parents=True, exist_ok=True)
    # Only a whole result counts as one.
    partial = job.result.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1, default=float) + "\n")
    partial.replace(job.result)
    return found


def read(path: Path) -> Result:
    """A result that is there."""
    result: Result = json.loads(path.read_text())
    return result


def format_row(found: Result, name: str) -> str:
    """A row of the table: one prediction of one run."""
    scores, training, seconds = found["scores"][name], found["training"], found["seconds"]
    title = TITLES.get(found["tool"], str(found["tool"])) + name.removeprefix("predict")
    begun = seconds.get("prepare", 0) + seconds["train"] - training["seconds"]
    cells = [
        f"{found['held_out']}",
        f"{found['minutes']:g}",
        title,
        " / ".join(f"{scores[key]:.4f}" for key in MEASURES),
        " / ".join(f"{scores[f'{key}_at_half']:.4f}" for key in MEASURES),
        f"{training['steps']} x {training['batch']} x {training['patch']}",
        f"{training['seconds']:.0f} s",
        f"{begun:.0f} s",
        f"{seconds[name]:.0f} s",
        f"{max(found['memory'].values()) / 2**30:.1f} GiB",
        str(found["written"]),
    ]
    return f"| {' | '.join(cells)} |"


def find_noise(results: Iterable[Result]) -> str:
    """How far runs of the same differ, in words."""
    alike: dict[tuple[Any, ...], list[Mapping[str, float]]] = {}
    for found in results:
        for name, scores in found["scores"].items():
            key = (found["tool"], found["held_out"], found["minutes"], name)
            alike.setdefault(key, []).append(scores)
    repeated = [several for several in alike.values() if len(several) > 1]
    if not repeated:
        return "Every tool ran once for each: how far two runs differ was not measured."
    most = {
        title: max(
            max(one[key] for one in runs) - min(one[key] for one in runs) for runs in repeated
        )
        for key, title in MEASURES.items()
    }
    return "Runs of the same tool, slices and minutes differ by at most " + (
        " and ".join(f"{value:.4f} in {title}" for title, value in most.items()) + "."
    )


def format_table(results: Sequence[Result]) -> str:
    """All runs as Markdown, with versions, the machine and the noise."""
    heads = ["held out", "minutes", "tool", "V_Rand / V_Info", "at 0.5", "steps x batch x patch"]
    heads += ["training", "before and after it", "prediction", "memory", "lines to write"]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    order = sorted(results, key=lambda r: (r["minutes"], r["held_out"], r["tool"], r["seed"]))
    lines += [format_row(found, name) for found in order for name in found["scores"]]
    versions = {name: value for found in results for name, value in found["versions"].items()}
    named = ", ".join(f"{name} {value}" for name, value in sorted(versions.items()))
    known = Path("/proc/cpuinfo")  # of Linux
    models = [line for line in known.read_text().splitlines() if line.startswith("model name")]
    machine = f"{len(models)} cores of {models[0].partition(': ')[2]}"
    machine += f", Python {platform.python_version()}"
    return "\n".join([*lines, "", find_noise(results), "", f"{named}; {machine}.", ""])


def main() -> None:
    """Measure what is missing, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=Path, default=Path("data"), help="images and labels")
    parser.add_argument("--peers", default="unetseg,torch-em,biapy,nnunet", help="tools to run")
    parser.add_argument("--minutes", default="2,8", help="lengths of training")
    parser.add_argument("--held-out", default="24-29,6-11", help="blocks of slices to score")
    parser.add_argument("--seeds", default="0", help="a run for each")
    parser.add_argument("--output", type=Path, default=Path("work/peers"))
    parser.add_argument("--envs", type=Path, help="environments  [default: envs in the output]")
    options = parser.parse_args()
    output = options.output.absolute()
    tools = [tool for tool in options.peers.split(",") if tool != "unetseg"]
    if "unetseg" in options.peers.split(","):
        tools = [FROM_NOTHING, DEFAULT, *tools]
    for minutes, held_out, seed, tool in itertools.product(
        map(float, options.minutes.split(",")),
        options.held_out.split(","),
        map(int, options.seeds.split(",")),
        tools,
    ):
        environments = (options.envs or output / "envs").absolute()
        job = Job(tool, held_out, minutes, seed, output, environments)
        for name in (found := run(job, options.stacks))["scores"]:
            print(format_row(found, name), flush=True)
    results = [read(path) for path in (output / "results").glob("*.json")]
    text = format_table(results)
    (output / "table.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
