"""Every option of every stage: its default, help text and bounds, written once.

The commands, the Python functions and the manifests all take them from here.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def option(
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    recorded: bool = True,
    flag: bool = True,
) -> Any:
    """A dataclass field that also carries help text and bounds.

    On the command line it has a flag, unless `flag=False`: then it is given as it is.

    `recorded=False` keeps an option out of manifests: where files lie and how many processes
    work do not change a result, so they must not change its manifest either.
    """
    recorded = recorded and not isinstance(default, Path)
    metadata = {
        "help": text,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "recorded": recorded,
        "flag": flag,
    }
    return dataclasses.field(default=default, metadata=metadata)


def flag_of(name: str) -> str:
    """What an option is called where people write it; `from_` is `from`, a word of Python's."""
    return name.removesuffix("_").replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the options of all stages: checks bounds, and says what manifests record."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, bounds = getattr(self, field.name), field.metadata
            if value is None:
                continue
            if value == ():
                raise ValueError(f"{field.name} is empty, must name at least one")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{field.name} is {value}, must be a finite number")
            if bounds["minimum"] is not None and value < bounds["minimum"]:
                raise ValueError(f"{field.name} is {value}, must be at least {bounds['minimum']}")
            if bounds["maximum"] is not None and value > bounds["maximum"]:
                raise ValueError(f"{field.name} is {value}, must be at most {bounds['maximum']}")
            chosen = value if isinstance(value, tuple) else (value,)
            if bounds["choices"] is not None and not set(chosen) <= set(bounds["choices"]):
                raise ValueError(f"{field.name} is {value!r}, must be one of {bounds['choices']}")

    def recorded(self) -> dict[str, Any]:
        """The options that decide the result, by name."""
        fields = dataclasses.fields(self)
        return {f.name: getattr(self, f.name) for f in fields if f.metadata["recorded"]}


DATA = Path("data")
ISBI_2012 = "https://downloads.imagej.net/ISBI-2012-challenge.zip"
WORK = Path("work")
LAST_FIFTH = "last-fifth"
NOTHING = Path("nothing")
"""What training with random weights is said to begin with."""
AUGMENTED = WORK / "augmented"
PREPROCESSED = WORK / "preprocessed"
MODEL = WORK / "model"
PREDICTION = WORK / "prediction"
SUGGESTIONS = WORK / "suggestions"
EVALUATION = WORK / "evaluation"
CELLS = WORK / "cells"
EXPORT = WORK / "export"
CROSSVALIDATION = WORK / "crossvalidation"

SEED_HELP = "Seed of everything random: the same seed gives the same result."
JOBS_HELP = "Processes that work side by side; 0 means one for each core."
A_MODEL = "Folder that `unetseg train` wrote, or starter, the model that comes with unetseg"
FORMS = "TIFF, HDF5 as file.h5:/dataset, MRC, Zarr, .npy, PNG, or a folder of slices"
VOXEL_HELP = (
    "Depth, height and width of a voxel in nanometres, such as '50 4 4'.  [default: what the "
)
INVERT_HELP = (
    "Turn the contrast round, where membranes are brighter than the inside of cells (SEM, "
    "backscattered electrons)."
)
WORK_HELP = "Folder that holds the folders of all stages."
# Measured against the labels of ISBI 2012, where a pixel is 4 nm: docs/labels.md.
MEMBRANE_NM, MEMBRANE_PX = 20.0, 5.0
WIDEST_MEMBRANE = 100.0
# Where neighbouring slices of ISBI 2012, of 50 nm, look different: docs/few-labels.md.
APART_NM, APART = 150.0, 3
RESCALE_HELP = (
    "Resample slices to the pixel size that the model was trained with, and the result back, where "
    "both are known and differ by more than a tenth."
)
MEMORY_HELP = "Memory that may be taken; slices for which it does not suffice go in tiles."
FORCE_HELP = "Do the work again even if its results are there already."


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Options):
    """What the commands that read labels are told of them."""

    labels_as: str = option(
        "auto",
        "What labels hold: classes, which are two values, or 0, 127 and 255; cells, which are "
        "numbers of cells; or auto, for whichever they look like.",
        choices=("auto", "classes", "cells"),
    )
    unlabelled: int | float | None = option(
        None,
        "Value of what nobody has labelled, such as 255, 65535 or -1: it does not count.",
        minimum=-(2**63),
        maximum=2**64 - 1,
    )
    unlabelled_slices: str | None = option(
        None, "Slices that nobody has labelled, counted from 0, such as '3,7-9'."
    )
    membrane: str | None = option(
        None,
        "Width of the membrane that is drawn where numbers of cells meet, such as '20 nm' or "
        f"'5 px'.  [default: {MEMBRANE_NM:g} nm, or {MEMBRANE_PX:g} px where the size of a pixel "
        "is not known]",
    )
    background: str = option(
        "membrane",
        "What 0 is among numbers of cells: membrane, or unlabelled, which does not count.",
        choices=("membrane", "unlabelled"),
    )


@dataclass(frozen=True, kw_only=True)
class SynthesizeOptions(Options):
    """Options of `unetseg synthesize`."""

    output: Path = option(DATA, "Folder for the synthetic stacks.")
    slices: int = option(15, "Slices to train on.", minimum=2)
    test_slices: int = option(5, "Slices to predict.", minimum=1)
    height: int = option(256, "Height of a slice in pixels.", minimum=64)
    width: int = option(256, "Width of a slice in pixels.", minimum=64)
    variety: float = option(
        0.0,
        "How far each stack may differ from ISBI 2012 in voxel size, cells, membranes, organelles, "
        "noise and contrast: 0 not at all, 1 as far as tissue of insects and vertebrates does.",
        minimum=0,
        maximum=1,
    )
    pixel_size: float | None = option(
        None,
        "Edge of a pixel in nanometres.  [default: 4, or what --variety draws]",
        minimum=2,
        maximum=20,
    )
    seed: int = option(0, SEED_HELP, minimum=0)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class DownloadOptions(Options):
    """Options of `unetseg download`. Where the stacks come from does not change them."""

    output: Path = option(DATA, "Folder for the stacks.")
    url: str = option(ISBI_2012, "Address of the archive, http or https.", recorded=False)
    timeout: float = option(
        30.0,
        "Seconds without a byte after which a connection counts as lost.",
        minimum=0.1,
        maximum=3600,
        recorded=False,
    )
    force: bool = option(False, FORCE_HELP, recorded=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_web(self.url):
            # Shown as it was typed, but for what may be a password.
            shown = self.url.rpartition("@")[2].partition("?")[0]
            raise ValueError(f"--url: expected an address such as https://..., found {shown!r}")


def public(url: str) -> str:
    """An address without what may be secret in it: name and password, query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # an error, where it is no number
    except ValueError:
        return False
    whole = url.isprintable() and " " not in url
    return whole and parts.scheme in ("http", "https") and bool(parts.hostname)


@dataclass(frozen=True, kw_only=True)
class AugmentOptions(LabelOptions):
    """Options of `unetseg augment`. Grey levels are 1/255 of the stack's own range."""

    volume: tuple[Path, ...] = option(
        (DATA / "train-volume.tif",),
        f"Stack of images ({FORMS}), separate micrographs in a folder, or a folder that holds "
        "train-volume.tif. May be given several times, with the --labels of each.",
        recorded=False,
    )
    labels: tuple[Path, ...] = option(
        (DATA / "train-labels.tif",),
        "Stack of labels (two values, the higher one inside cells; 0, 255 and 127 for what does "
        "not count; or numbers of cells), or a folder that holds train-labels.tif. Those of "
        "separate micrographs have the same names.",
        recorded=False,
    )
    output: Path = option(AUGMENTED, "Folder for the augmented stacks.")
    copies: int = option(9, "Augmented copies of every slice, beside the original.", minimum=0)
    elastic_sigma: float = option(
        10.0,
        "Elastic deformation: standard deviation of the displacements in pixels.",
        minimum=0,
        maximum=1000,
    )
    elastic_points: int = option(
        3, "Elastic deformation: control points along each axis.", minimum=2, maximum=64
    )
    elastic_order: int = option(
        3, "Order of the splines that images are resampled with.", minimum=0, maximum=4
    )
    rotation: float = option(
        10.0, "Free rotation: largest angle to either side, in degrees.", minimum=0, maximum=180
    )
    scaling: float = option(
        0.1, "Scaling: largest change of size, as a share.", minimum=0, maximum=0.5
    )
    flips: bool = option(
        True,
        "Flip half of the copies vertically, and half horizontally; unetseg train flips its "
        "patches at random whatever is said here.",
    )
    quarter_turns: bool = option(
        True,
        "Turn copies by a multiple of 90 degrees; unetseg train turns its patches at random "
        "whatever is said here.",
    )
    crop: int = option(
        388,
        "Edge in pixels of a region cropped at a random place and padded symmetrically to full "
        "size; 0 for none.",
        minimum=0,
    )
    contrast: float = option(
        0.2,
        "Contrast: largest change of the factor, as a share; unetseg preprocess takes back all but "
        "what it means for gamma, noise and clipping.",
        minimum=0,
        maximum=0.9,
    )
    gamma: float = option(
        0.2, "Gamma: largest change of the exponent, as a share.", minimum=0, maximum=0.9
    )
    gaussian_noise: float = option(
        10.0,
        "Gaussian noise: highest standard deviation, in grey levels.",
        minimum=0,
        maximum=255,
    )
    uniform_noise: float = option(
        10.0,
        "Uniform noise: highest amplitude to either side, in grey levels.",
        minimum=0,
        maximum=255,
    )
    brightness: float = option(
        20.0,
        "Brightness: largest shift up or down, in grey levels; unetseg preprocess takes it back, "
        "all but the clipping.",
        minimum=0,
        maximum=255,
    )
    voxel: str | None = option(None, VOXEL_HELP + "volume says of itself]")
    invert: bool = option(False, INVERT_HELP)
    preview: bool = option(True, "Draw some originals and copies side by side: preview.png.")
    only: int | None = option(
        None,
        "Make one slice of the result alone, by its number, in a folder of its own; with the "
        "options of the finished result, if there is one.",
        minimum=0,
    )
    seed: int = option(0, SEED_HELP, minimum=0)
    jobs: int = option(0, JOBS_HELP, minimum=0, recorded=False)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class GalleryOptions(Options):
    """Options of `unetseg gallery`."""

    image: Path = option(
        DATA / "train-volume.tif",
        "Stack of images, or a folder that holds train-volume.tif.",
        flag=False,
    )
    slice_number: int = option(0, "Slice of the stack, counted from 0.", minimum=0)
    output: Path = option(WORK / "gallery", "Folder for gallery.png.")
    seed: int = option(0, SEED_HELP, minimum=0)


@dataclass(frozen=True, kw_only=True)
class PreprocessOptions(Options):
    """Options of `unetseg preprocess`."""

    input: Path = option(AUGMENTED, "Folder that `unetseg augment` wrote.")
    output: Path = option(PREPROCESSED, "Folder for the arrays.")
    held_out: str = option(
        LAST_FIFTH,
        "Source slices that are never trained on: one, or a block such as 24-29 (both included, "
        "from 0, of several volumes through all of them), 'last-fifth' (of those with labels, of "
        "each volume) or 'none'. A volume is called by its name, a block of it A:24-29; several "
        "have commas between them.",
    )
    border_weight: float = option(
        10.0,
        "w0 of the U-Net paper's weight map: extra weight between two cells.",
        minimum=0,
        maximum=1000,
    )
    border_sigma: float = option(
        5.0, "sigma of the U-Net paper's weight map, in pixels.", minimum=0.1, maximum=100
    )
    jobs: int = option(0, JOBS_HELP, minimum=0, recorded=False)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Options of `unetseg train`."""

    input: Path = option(PREPROCESSED, "Folder that `unetseg preprocess` wrote.")
    output: Path = option(MODEL, "Folder for the model.")
    network: str = option(
        "compact",
        "compact: small, for CPUs; paper: the U-Net of 2015 with 64 filters.",
        choices=("compact", "paper"),
    )
    from_: Path | None = option(
        None,
        "Begin with this model of the same --network: a folder of `unetseg train`, or starter; or "
        "with nothing, which is random weights.  [default: starter; nothing for another network or "
        "recipe, or where pixels are not of 2 to 8 nm]",
        recorded=False,
    )
    epochs: int | None = option(
        None, "Epochs.  [default: 3 from a model, 20 from nothing]", minimum=1
    )
    epoch_size: int = option(
        240,
        "Random patches in an epoch, from every slice that is trained on as many as from any "
        "other.",
        minimum=1,
    )
    minutes: float = option(
        0.0,
        "Stop after so many minutes, if the epochs take longer; 0 for no limit. The start, and "
        "the prediction of held-out slices, come on top.",
        minimum=0,
    )
    batch_size: int = option(4, "Patches in a step.", minimum=1)
    patch: int = option(
        256, "Edge of a patch in pixels; smaller slices are used whole.", minimum=16
    )
    recipe: str = option(
        "default",
        "default: what was measured to learn fastest, from nothing or from a model; paper: how "
        "the first Keras U-Nets were trained (Adam, plain cross-entropy, no normalisation, no "
        "weights).",
        choices=("default", "paper"),
    )
    learning_rate: float | None = option(
        None, "Highest learning rate, if not that of the recipe.", minimum=0
    )
    precision: str = option(
        "auto",
        "What a step computes in; auto: bfloat16 where the processor has it and is faster with it, "
        "else float32. Weights are float32.",
        choices=("auto", "float32", "bfloat16"),
    )
    select: str = option(
        "last",
        "Which weights to keep: the last, or those of the best held-out V_Rand (which then "
        "flatters the score).",
        choices=("last", "best"),
    )
    tensorboard: bool = option(
        False,
        "Write the learning curves for TensorBoard too: events.out.tfevents. Needs TensorFlow as "
        "the backend of Keras.",
        recorded=False,
    )
    score_every: int = option(
        5, "Score the held-out slices after every so many epochs, and after the last.", minimum=1
    )
    seed: int = option(0, SEED_HELP, minimum=0)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class PredictOptions(Options):
    """Options of `unetseg predict`."""

    model: tuple[Path, ...] = option(
        (MODEL,),
        f"{A_MODEL}; given several times, probabilities are averaged.",
        recorded=False,
    )
    volume: Path = option(
        DATA / "test-volume.tif",
        f"Stack of images ({FORMS}), or a folder that holds test-volume.tif. Of slices of "
        "different sizes each is predicted by itself.",
    )
    output: Path = option(
        PREDICTION,
        "Folder for the result; of slices of different sizes, for a TIFF of the name of each.",
    )
    name: str | None = option(
        None,
        "Name of the result. Its ending says what it is: .tif (for ImageJ; above 4 GB "
        "OME-BigTIFF), .ome.tif or .ome.zarr.  [default: prediction.tif, with --scheduler "
        "prediction.ome.zarr]",
    )
    tta: bool = option(
        True, "Average over the 8 flips and rotations: better, and 8 times the work."
    )
    voxel: str | None = option(None, VOXEL_HELP + "volume says of itself]")
    rescale: bool = option(True, RESCALE_HELP)
    invert: bool = option(False, INVERT_HELP)
    memory: str = option("2GB", MEMORY_HELP, recorded=False)
    scheduler: str | None = option(
        None,
        "Address of a dask scheduler, such as tcp://host:8786: its workers predict, into an "
        "OME-Zarr.",
        recorded=False,
    )
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class SuggestOptions(LabelOptions):
    """Options of `unetseg suggest`."""

    model: tuple[Path, ...] = option(
        (MODEL,),
        f"{A_MODEL}; given several times, what they do not agree about counts too.",
        recorded=False,
    )
    volume: Path = option(
        DATA / "train-volume.tif",
        f"Stack of images ({FORMS}), or a folder that holds train-volume.tif.",
    )
    labels: Path | None = option(
        None,
        "What is labelled already: a stack of labels, as for `unetseg augment`, of which "
        "--unlabelled and --unlabelled-slices say what is not; or a folder that holds "
        "train-labels.tif.",
        recorded=False,
    )
    output: Path = option(SUGGESTIONS, "Folder for suggestions.csv and suggestions.png.")
    count: int = option(8, "Places to suggest, at most.", minimum=1, maximum=1000)
    patch: int = option(
        256,
        "Edge of a place in pixels; of smaller slices, places are as high or wide as these.",
        minimum=32,
    )
    apart: int | None = option(
        None,
        "Slices after which tissue looks different: places nearer than that above or below labels, "
        "or another place, count less.  [default: as many as make "
        f"{APART_NM:g} nm, or {APART} where the size of a voxel is not known]",
        minimum=1,
    )
    tta: bool = option(
        True,
        "Compare what a model says of 8 flips and rotations. Without it, which takes an eighth of "
        "the work, only several models are compared.",
    )
    voxel: str | None = option(None, VOXEL_HELP + "volume says of itself]")
    rescale: bool = option(True, RESCALE_HELP)
    invert: bool = option(False, INVERT_HELP)
    memory: str = option("2GB", MEMORY_HELP, recorded=False)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(LabelOptions):
    """Options of `unetseg evaluate`."""

    prediction: Path = option(
        MODEL,
        "Prediction to score, or the folder of `unetseg train` (held-out slices), "
        "`unetseg predict` or `unetseg segment`.",
    )
    prediction_as: str = option(
        "auto",
        "What the prediction holds: probabilities of lying inside a cell; cells, which are "
        "numbers of cells; or auto: what `unetseg segment` wrote, and whole numbers that look "
        "like those of cells, are cells.",
        choices=("auto", "probabilities", "cells"),
    )
    labels: Path | None = option(
        None,
        "Stack of labels, as for `unetseg augment`, or a folder that holds it. Not needed for "
        "held-out slices.",
        recorded=False,
    )
    output: Path = option(EVALUATION, "Folder for scores.json.")
    jobs: int = option(0, JOBS_HELP, minimum=0, recorded=False)


@dataclass(frozen=True, kw_only=True)
class SegmentOptions(Options):
    """Options of `unetseg segment`."""

    prediction: Path = option(
        PREDICTION,
        "Prediction, or the folder of `unetseg predict` or `unetseg train` (held-out slices).",
    )
    output: Path = option(
        CELLS,
        "Folder for labels.tif and tables; labels of separate micrographs have their names.",
    )
    name: str | None = option(
        None,
        "Name of the labels. Its ending says what they are: .tif (for ImageJ; more cells than 16 "
        "bits count, or above 4 GB, OME-TIFF), .ome.tif or .ome.zarr.  [default: labels.tif; "
        "labels.ome.zarr with --scheduler, and of more than a gigapixel]",
    )
    smoothing: float = option(
        1.0, "Standard deviation of a Gaussian applied first, in pixels.", minimum=0, maximum=50
    )
    seed_threshold: float = option(
        0.7, "Every region of higher probability becomes a cell.", minimum=0, maximum=1
    )
    smallest: int = option(
        20, "Pixels that such a region must have; smaller ones go to a neighbour.", minimum=0
    )
    grow: bool = option(
        True, "Let cells grow into the membrane until a line of one pixel is left between them."
    )
    link: bool | None = option(
        None,
        "Give all sections of a cell one number, through the slices of a stack, and write tables "
        "of whole cells and of the least sure links.  [default: link where neighbouring slices "
        "look like those of a stack, of at most 10 megapixels each]",
    )
    binary: bool = option(
        False,
        "Write a binary stack too, 255 inside cells and 0 on membrane: binary.tif, or of separate "
        "micrographs a folder, binary, with a file of the same name for each.",
    )
    memory: str = option(
        "2GB",
        "Memory that may be taken by all processes together; fewer work where it does not suffice.",
        recorded=False,
    )
    scheduler: str | None = option(
        None,
        "Address of a dask scheduler, such as tcp://host:8786: its workers segment, into an "
        "OME-Zarr.",
        recorded=False,
    )
    jobs: int = option(0, JOBS_HELP, minimum=0, recorded=False)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """Options of `unetseg export`."""

    model: Path = option(MODEL, f"{A_MODEL}.")
    output: Path = option(EXPORT, "Folder for the results.")
    format: tuple[str, ...] = option(
        ("onnx",),
        "What to write: onnx, one file that most programs and languages run; savedmodel, for "
        "TensorFlow; bioimageio, a package for bioimage.io that normalises by itself. May be given "
        "several times.",
        choices=("onnx", "savedmodel", "bioimageio"),
    )
    volume: Path | None = option(
        None,
        "Stack that the results are tried out on, or a folder that holds train-volume.tif; a piece "
        "of it goes into a package as its example.  [default: the one that the model was trained "
        "on, or a synthetic slice where that is gone]",
        recorded=False,
    )
    author: str | None = option(None, "Author of the model, for a package.")
    license: str | None = option(
        None, "Licence of the model, for a package: its SPDX name, such as CC-BY-4.0."
    )
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """Options of `unetseg report`."""

    work: Path = option(WORK, WORK_HELP)
    output: Path | None = option(
        None, "Folder for report.html.  [default: report in the work folder]", recorded=False
    )
    slices: int = option(
        3, "Held-out slices to show: from the best to the worst, evenly.", minimum=1
    )
    places: int = option(
        4,
        "Splits to enlarge, and as many merges: the worst. Of linked cells, decisions to join and "
        "to keep apart, as many of each: the least sure.",
        minimum=0,
    )


@dataclass(frozen=True, kw_only=True)
class ViewOptions(Options):
    """Options of `unetseg view`."""

    work: Path = option(WORK, WORK_HELP)
    prediction: Path | None = option(
        None,
        "Prediction, or the folder of `unetseg predict` or `unetseg train` (held-out slices).  "
        "[default: prediction in the work folder]",
    )
    volume: Path | None = option(
        None,
        "Stack of images, in any form that `unetseg predict` reads.  [default: the one that was "
        "predicted]",
    )
    labels: Path | None = option(
        None,
        "True labels of the same slices.  [default: NAME-labels.tif beside NAME-volume.tif; of "
        "held-out slices those in the model's folder]",
    )
    cells: Path | None = option(
        None,
        "Cells, or the folder of `unetseg segment`.  [default: cells in the work folder, if they "
        "are of this prediction]",
    )
    voxel: str | None = option(None, VOXEL_HELP + "stacks say of themselves]")
    three_d: bool = option(
        False,
        "Open in 3-D, with the cells as solids and everything else hidden; all slices are read "
        "into memory for it.",
    )
    only: str | None = option(
        None, "Cells to show, by their numbers, such as '12,47-49'.  [default: all of them]"
    )


@dataclass(frozen=True, kw_only=True)
class CrossvalidateOptions(TrainOptions):
    """Options of `unetseg crossvalidate`: those of `unetseg train`, and the folds."""

    input: Path = option(AUGMENTED, "Folder that `unetseg augment` wrote.")
    output: Path = option(CROSSVALIDATION, "Folder for the table and for all folds.")
    folds: int = option(5, "Contiguous blocks of source slices.", minimum=2)
    leave_out: str = option(
        "blocks",
        "What is held out in turn: blocks, as many as --folds; or one volume after the other.",
        choices=("blocks", "volumes"),
    )
