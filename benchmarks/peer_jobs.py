"""What `peers.py` compares: tools, how each is installed and what is run to train and predict."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from unetseg.options import NOTHING, TrainOptions

WRITTEN = Path(__file__).with_name("peers")
TORCH = ("torch==2.13.0", "torchvision==0.28.0")
REQUIREMENTS = {
    "torch-em": (*TORCH, "torch_em==0.10.9"),
    "biapy": (*TORCH, "biapy==3.7.1"),
    "nnunet": (*TORCH, "nnunetv2==2.8.1"),
}
FILES = {
    "torch-em": ("membranes_torch_em.py",),
    "biapy": ("membranes_biapy.py", "membranes_biapy.yaml"),
    "nnunet": ("membranes_nnunet.py", "trainer/clocked_trainer.py"),
}
FROM_NOTHING, DEFAULT = "unetseg, from nothing", "unetseg"

Commands = list[list[str]]


@dataclass(frozen=True)
class Job:
    """One tool, trained once.

    Attributes
    ----------
    tool : str
    held_out : str
        Block of slices, such as 24-29.
    minutes : float
    seed : int
        Of unetseg and BiaPy; the others draw anew in every run.
    output : Path
        Folder of everything that is measured.
    environments : Path
        Folder of one environment for each peer.
    """

    tool: str
    held_out: str
    minutes: float
    seed: int
    output: Path
    environments: Path

    @property
    def name(self) -> str:
        """What its folder and its result are called."""
        return f"{self.tool.replace(', ', '-').replace(' ', '-')}-{self.held_out}" + (
            f"-{self.minutes:g}-{self.seed}"
        )

    @property
    def folder(self) -> Path:
        """Where it works."""
        return self.output / "runs" / self.name

    @property
    def result(self) -> Path:
        """What is there when it is finished."""
        return self.output / "results" / f"{self.name}.json"

    def commands(self) -> dict[str, Commands]:
        """Its commands, by what they are for; what begins with "predict" ends in a stack."""
        if self.tool in (FROM_NOTHING, DEFAULT):
            return self._unetseg()
        binaries = self.environments / self.tool / "bin"
        python = str(binaries / "python")
        script = str(WRITTEN / FILES[self.tool][0])
        minutes = ("--minutes", str(self.minutes))
        if self.tool == "nnunet":
            return self._nnunet(binaries, [python, script, str(self.folder)])
        run = [python, str(WRITTEN / "cpu_torchvision.py"), script, str(self.folder)]
        commands = {"train": [[*run, *minutes]], "predict": [run]}
        if self.tool == "torch-em":
            commands["predict, 8 symmetries by hand"] = [[*run, "--average"]]
        return commands

    def _unetseg(self) -> dict[str, Commands]:
        def stage(name: str, *given: str | Path) -> list[str]:
            return [sys.executable, "-m", "unetseg", name, *map(str, given)]

        folder, seed = self.folder, ("--seed", self.seed)
        augmented, preprocessed, model = (
            folder / name for name in ("augmented", "preprocessed", "model")
        )
        stacks = ("--volume", folder / "train-volume.tif", "--labels", folder / "train-labels.tif")
        # More epochs than fit: the clock ends the course, and lays out the learning rate.
        course = ("--epochs", "100000", "--minutes", str(self.minutes), *map(str, seed))
        start = ("--from", str(NOTHING)) if self.tool == FROM_NOTHING else ()
        return {
            "prepare": [
                stage("augment", *stacks, "--output", augmented, *map(str, seed)),
                stage(
                    "preprocess",
                    "--input",
                    augmented,
                    "--output",
                    preprocessed,
                    "--held-out",
                    "none",
                ),
            ],
            "train": [stage("train", "--input", preprocessed, "--output", model, *course, *start)],
            "predict": [
                stage(
                    "predict",
                    *("--model", model, "--volume", folder / "test-volume.tif"),
                    *("--output", folder / "predicted"),
                )
            ],
        }

    def _nnunet(self, binaries: Path, script: list[str]) -> dict[str, Commands]:
        def command(name: str, *given: str) -> list[str]:
            return [str(binaries / f"nnUNetv2_{name}"), *given]

        # Looking for trainers, these import torchvision.
        shim = [str(binaries / "python"), str(WRITTEN / "cpu_torchvision.py")]

        images = str(self.folder / "raw" / "Dataset001_Membranes" / "imagesTs")
        # Fewer processes than by default, each of which would begin by importing torch.
        cores, few = str(os.cpu_count()), ("-npp", "0", "-nps", "0")
        trained = ("-tr", "ClockedTrainer", "-device", "cpu")
        of_model = ("-d", "1", "-c", "2d_256", "-f", "all", *trained, "--save_probabilities", *few)
        return {
            "prepare": [
                [*script, "dataset"],
                command("plan_and_preprocess", "-d", "1", "-c", "2d", "-npfp", cores, "-np", cores),
                [*script, "plan"],
            ],
            "train": [[*shim, *command("train", "1", "2d_256", "all", *trained)]],
            "predict": [
                [
                    *(*shim, *command("predict", "-i", images)),
                    *("-o", str(self.folder / "predicted"), *of_model),
                ],
                [*script, "collect"],
            ],
        }

    def environment(self) -> dict[str, str]:
        """Variables for its processes; nnU-Net wants its folders, and where trainers lie."""
        folders = {f"nnUNet_{name}": name for name in ("raw", "preprocessed", "results")}
        return {
            **os.environ,
            **{name: str(self.folder / folder) for name, folder in folders.items()},
            "nnUNet_extTrainer": str(WRITTEN / "trainer"),
            "TRAINING_MINUTES": str(self.minutes),
            "TRAINING_SEED": str(self.seed),
            "TRAINING_JSON": str(self.folder / "training.json"),
        }

    def prediction(self, name: str) -> Path:
        """The stack that a step called so has written."""
        if self.tool in (FROM_NOTHING, DEFAULT):
            return self.folder / "predicted" / "prediction.tif"
        return self.folder / ("prediction.tif" if name == "predict" else "averaged.tif")

    def training(self) -> dict[str, float]:
        """Seconds and steps of the training itself, and the size of a step."""
        if self.tool not in (FROM_NOTHING, DEFAULT):
            told: dict[str, float] = json.loads((self.folder / "training.json").read_text())
            return told
        details = json.loads((self.folder / "model" / "manifest.json").read_text())["details"]
        if self.tool == FROM_NOTHING and details["ancestors"]:
            raise SystemExit(f"{self.folder / 'model'}: began with a model, not from nothing")
        options = TrainOptions()
        of_epochs = np.loadtxt(
            self.folder / "model" / "history.csv", delimiter=",", skiprows=1, usecols=3, ndmin=1
        )
        took = np.diff(of_epochs, prepend=0)
        # The clock ends the last epoch before its time.
        epochs = len(took) - 1 + min(1, took[-1] / np.median(took))
        return {
            "seconds": of_epochs[-1],
            "steps": round(epochs * options.epoch_size / options.batch_size),
            "batch": options.batch_size,
            "patch": options.patch,
        }

    def written(self) -> int:
        """Lines that a user has to write: of files, and commands."""
        names = FILES.get(self.tool, ())
        commands = sum(map(len, self.commands().values()))
        return commands + sum(count_lines(WRITTEN / name) for name in names)


def count_lines(path: Path) -> int:
    """Lines without comments and docstrings; of Python, with every statement on one."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                node.body = node.body[ast.get_docstring(node) is not None :] or [ast.Pass()]
        text = ast.unparse(tree)
    lines = (line.strip() for line in text.splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def install(tool: str, environments: Path) -> dict[str, str]:
    """Make a tool's environment, unless it is there; versions of what matters in it."""
    if tool in (FROM_NOTHING, DEFAULT):
        return {name: version(name) for name in ("unetseg", "keras", "tensorflow")}
    folder = environments / tool
    python = str(folder / "bin" / "python")
    wanted, mark = "\n".join(REQUIREMENTS[tool]), folder / ".installed"
    if not mark.exists() or mark.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *REQUIREMENTS[tool]], check=True)
        mark.write_text(wanted)
    names = [requirement.partition("==")[0] for requirement in REQUIREMENTS[tool]]
    ask = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    told = subprocess.run([python, "-c", ask, *names], check=True, capture_output=True, text=True)
    return dict(zip(names, told.stdout.split(), strict=True))
