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
    """Return a dataclass field that also carries help text and bounds.

    On the command line it has a flag, unless `flag=False`: then it is a positional argument.

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
    """Return the name of an option for users; `from_` becomes `from`, a keyword of Python."""
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
        """Return the options that affect the result, by name."""
        fields = dataclasses.fields(self)
        return {f.name: getattr(self, f.name) for f in fields if f.metadata["recorded"]}


DATA = Path("data")
ISBI_2012 = "https://downloads.imagej.net/ISBI-2012-challenge.zip"
WORK = Path("work")
LAST_FIFTH = "last-fifth"
NOTHING = Path("nothing")
"""Value of --from that stands for random weights."""
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
JOBS_HELP = "Number of parallel processes; 0 for one on each core."
A_MODEL = "Folder that `unetseg train` wrote, or starter, the model that comes with unetseg"
FORMS = "TIFF, HDF5 as file.h5:/dataset, MRC, Zarr, .npy, PNG, or a folder of slices"
VOXEL_HELP = (
    "Depth, height and width of a voxel in nanometres, such as '50 4 4'.  [default: as stored in "
    "the file]"
)
INVERT_HELP = (
    "Invert the contrast, for images in which membranes are brighter than the inside of cells "
    "(SEM, backscattered electrons)."
)
WORK_HELP = "Folder that holds the folders of all stages."
# Measured against the labels of ISBI 2012, where a pixel is 4 nm: docs/labels.md.
MEMBRANE_NM, MEMBRANE_PX = 20.0, 5.0
WIDEST_MEMBRANE = 100.0
# Distance at which slices of ISBI 2012, of 50 nm, look different: docs/few-labels.md.
APART_NM, APART = 150.0, 3
PLACE, SMALLEST_PLACE = 256, 32  # pixels
RESCALE_HELP = (
    "Resample slices to the pixel size of the model, and the result back, if both are known and "
    "differ by more than a tenth."
)
MEMORY_HELP = "Memory limit; slices that do not fit are processed in tiles."
SCHEDULER_HELP = (
    "Address of a dask scheduler, such as tcp://host:8786, whose workers write the result as an "
    "OME-Zarr."
)
FORCE_HELP = "Run again even if the results exist."


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Options):
    """How commands read labels."""

    labels_as: str = option(
        "auto",
        "Kind of labels: classes (two values, or 0, 127 and 255); cells (numbers of cells); or "
        "auto, which decides by the values.",
        choices=("auto", "classes", "cells"),
    )
    unlabelled: int | float | None = option(
        None,
        "Value of unlabelled pixels, such as 255, 65535 or -1; they do not count.",
        minimum=-(2**63),
        maximum=2**64 - 1,
    )
    unlabelled_slices: str | None = option(
        None, "Unlabelled slices, counted from 0, such as '3,7-9'."
    )
    membrane: str | None = option(
        None,
        "Width of the membrane that is drawn where numbers of cells meet, such as '20 nm' or "
        f"'5 px'.  [default: {MEMBRANE_NM:g} nm, or {MEMBRANE_PX:g} px if the pixel size is "
        "unknown]",
    )
    background: str = option(
        "membrane",
        "Meaning of 0 among numbers of cells: membrane, or unlabelled, which does not count.",
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
        "How much each stack may differ from ISBI 2012 in voxel size, cells, membranes, "
        "organelles, noise and contrast: 0 for not at all, 1 for the range of insect and "
        "vertebrate tissue.",
        minimum=0,
        maximum=1,
    )
    pixel_size: float | None = option(
        None,
        "Pixel size in nanometres.  [default: 4, or random with --variety]",
        minimum=2,
        maximum=20,
    )
    seed: int = option(0, SEED_HELP, minimum=0)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class DownloadOptions(Options):
    """Options of `unetseg download`. The source is not recorded: it does not change the stacks."""

    output: Path = option(DATA, "Folder for the stacks.")
    url: str = option(ISBI_2012, "Address of the archive, http or https.", recorded=False)
    timeout: float = option(
        30.0,
        "Seconds without data after which a connection counts as lost.",
        minimum=0.1,
        maximum=3600,
        recorded=False,
    )
    force: bool = option(False, FORCE_HELP, recorded=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_web(self.url):
            # Shown as it was typed, but without what may be a password.
            shown = self.url.rpartition("@")[2].partition("?")[0]
            raise ValueError(f"--url: expected an address such as https://..., found {shown!r}")


def public(url: str) -> str:
    """Return an address without its possible secrets: user name and password, query, fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises a ValueError if it is not a number
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
        "Stack of labels (two values, the higher one inside cells; 0, 255 and 127 for unlabelled; "
        "or numbers of cells), or a folder that holds train-labels.tif. Labels of separate "
        "micrographs have the names of their images.",
        recorded=False,
    )
    output: Path = option(AUGMENTED, "Folder for the augmented stacks.")
    copies: int = option(
        9, "Augmented copies of every slice, in addition to the original.", minimum=0
    )
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
        3, "Order of the splines for resampling images.", minimum=0, maximum=4
    )
    rotation: float = option(
        10.0, "Free rotation: largest angle to either side, in degrees.", minimum=0, maximum=180
    )
    scaling: float = option(
        0.1, "Scaling: largest change of size, as a share.", minimum=0, maximum=0.5
    )
    flips: bool = option(
        True,
        "Flip half of the copies vertically, and half horizontally; unetseg train also flips "
        "patches at random, with or without this option.",
    )
    quarter_turns: bool = option(
        True,
        "Turn copies by a multiple of 90 degrees; unetseg train also turns patches at random, with "
        "or without this option.",
    )
    crop: int = option(
        388,
        "Edge in pixels of a region cropped at a random place and padded symmetrically to full "
        "size; 0 for none.",
        minimum=0,
    )
    contrast: float = option(
        0.2,
        "Contrast: largest change of the factor, as a share; the normalisation of unetseg train "
        "removes it, apart from its effect on gamma, noise and clipping.",
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
        "Brightness: largest shift up or down, in grey levels; the normalisation of unetseg train "
        "removes it, apart from clipping.",
        minimum=0,
        maximum=255,
    )
    voxel: str | None = option(None, VOXEL_HELP)
    invert: bool = option(False, INVERT_HELP)
    preview: bool = option(True, "Draw some originals and copies side by side: preview.png.")
    only: int | None = option(
        None,
        "Write only the slice of the result with this number, to a folder of its own; with the "
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
        "Source slices that are not trained on: a slice, or a block such as 24-29 (both included, "
        "from 0, counted through all volumes), 'last-fifth' (of the labelled slices of each "
        "volume) or 'none'. Also the name of a volume, a block of it as A:24-29, or several of "
        "these separated by commas.",
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
        "Start from this model with the same --network: a folder of `unetseg train`, or starter; "
        "or nothing, for random weights.  [default: starter; nothing for another network or "
        "recipe, or if pixels are not 2 to 8 nm large]",
        recorded=False,
    )
    epochs: int | None = option(
        None, "Epochs.  [default: 3 from a model, 20 from nothing]", minimum=1
    )
    epoch_size: int = option(
        240,
        "Random patches in an epoch, equally many from every training slice.",
        minimum=1,
    )
    minutes: float = option(
        0.0,
        "Limit of the training time in minutes; 0 for no limit. Start-up and the prediction of "
        "held-out slices are not included.",
        minimum=0,
    )
    batch_size: int = option(4, "Patches in a step.", minimum=1)
    patch: int = option(
        256, "Edge of a patch in pixels; smaller slices are used whole.", minimum=16
    )
    recipe: str = option(
        "default",
        "default: the recipe that learned fastest in our measurements; paper: that of the first "
        "Keras U-Nets (Adam, plain cross-entropy, no normalisation, no weights).",
        choices=("default", "paper"),
    )
    learning_rate: float | None = option(
        None, "Highest learning rate.  [default: that of the recipe]", minimum=0
    )
    precision: str = option(
        "auto",
        "Precision of a training step; auto: bfloat16 if the processor has it and is faster with "
        "it, otherwise float32. Weights are float32.",
        choices=("auto", "float32", "bfloat16"),
    )
    select: str = option(
        "last",
        "Weights to keep: the last, or those with the best held-out V_Rand (this score is then "
        "too good).",
        choices=("last", "best"),
    )
    tensorboard: bool = option(
        False,
        "Also write the learning curves for TensorBoard: events.out.tfevents. Needs TensorFlow as "
        "the backend of Keras.",
        recorded=False,
    )
    score_every: int = option(
        5,
        "Epochs between scores of the held-out slices; the last epoch is always scored.",
        minimum=1,
    )
    seed: int = option(0, SEED_HELP, minimum=0)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class PredictOptions(Options):
    """Options of `unetseg predict`."""

    model: tuple[Path, ...] = option(
        (MODEL,),
        f"{A_MODEL}; if given several times, probabilities are averaged.",
        recorded=False,
    )
    volume: Path = option(
        DATA / "test-volume.tif",
        f"Stack of images ({FORMS}), or a folder that holds test-volume.tif. Slices of "
        "different sizes are predicted one by one.",
    )
    output: Path = option(
        PREDICTION,
        "Folder for the result, or for one TIFF for each slice if their sizes differ.",
    )
    name: str | None = option(
        None,
        "File name of the result. The ending sets the format: .tif (for ImageJ; OME-BigTIFF above "
        "4 GB), .ome.tif or .ome.zarr.  [default: prediction.tif; prediction.ome.zarr with "
        "--scheduler]",
    )
    tta: bool = option(True, "Average over the 8 flips and rotations: better, and 8 times as slow.")
    voxel: str | None = option(None, VOXEL_HELP)
    rescale: bool = option(True, RESCALE_HELP)
    invert: bool = option(False, INVERT_HELP)
    memory: str = option("2GB", MEMORY_HELP, recorded=False)
    scheduler: str | None = option(None, SCHEDULER_HELP, recorded=False)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class SuggestOptions(LabelOptions):
    """Options of `unetseg suggest`."""

    model: tuple[Path, ...] = option(
        (MODEL,),
        f"{A_MODEL}; if given several times, their disagreement counts too.",
        recorded=False,
    )
    volume: Path = option(
        DATA / "train-volume.tif",
        f"Stack of images ({FORMS}), or a folder that holds train-volume.tif.",
    )
    labels: Path | None = option(
        None,
        "Present labels: a stack as for `unetseg augment`, with --unlabelled and "
        "--unlabelled-slices for the rest; or a folder that holds train-labels.tif.",
        recorded=False,
    )
    output: Path = option(SUGGESTIONS, "Folder for suggestions.csv and suggestions.png.")
    count: int = option(8, "Largest number of places.", minimum=1, maximum=1000)
    patch: int | None = option(
        None,
        f"Edge of a place in pixels.  [default: {PLACE}, or half of the edge of a smaller slice]",
        minimum=SMALLEST_PLACE,
    )
    apart: int | None = option(
        None,
        "Distance in slices: places closer than this above or below labels, or another place, "
        f"count less.  [default: {APART_NM:g} nm, or {APART} slices if the voxel size is unknown]",
        minimum=1,
    )
    tta: bool = option(
        True,
        "Compare the 8 flips and rotations. Without it only several models are compared, in an "
        "eighth of the time.",
    )
    voxel: str | None = option(None, VOXEL_HELP)
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
        "Kind of prediction: probabilities of lying inside a cell; cells (numbers of cells); or "
        "auto: cells for the output of `unetseg segment` and for integers that look like numbers "
        "of cells.",
        choices=("auto", "probabilities", "cells"),
    )
    labels: Path | None = option(
        None,
        "Stack of labels, as for `unetseg augment`, or a folder that holds it. Held-out slices do "
        "not need it.",
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
        "Folder for labels.tif and tables; labels of separate micrographs have the names of these.",
    )
    name: str | None = option(
        None,
        "File name of the labels. The ending sets the format: .tif (for ImageJ; OME-TIFF above "
        "65535 cells or 4 GB), .ome.tif or .ome.zarr.  [default: labels.tif; labels.ome.zarr with "
        "--scheduler or above a gigapixel]",
    )
    smoothing: float = option(
        1.0,
        "Smooth the prediction by a Gaussian of this standard deviation, in pixels.",
        minimum=0,
        maximum=50,
    )
    seed_threshold: float = option(
        0.7, "Every region with a higher probability becomes a cell.", minimum=0, maximum=1
    )
    smallest: int = option(
        20,
        "Smallest size of such a region in pixels; smaller ones are given to a neighbour.",
        minimum=0,
    )
    grow: bool = option(
        True, "Let cells grow into the membrane until a line of one pixel is left between them."
    )
    link: bool | None = option(
        None,
        "Give all sections of a cell the same number in all slices, and write tables of cells and "
        "of the least certain links.  [default: link if neighbouring slices look like those of a "
        "stack and have at most 10 megapixels]",
    )
    binary: bool = option(
        False,
        "Also write a binary stack, 255 inside cells and 0 on membrane: binary.tif, or a folder, "
        "binary, for separate micrographs.",
    )
    memory: str = option(
        "2GB",
        "Memory limit of all processes together; it limits their number.",
        recorded=False,
    )
    scheduler: str | None = option(None, SCHEDULER_HELP, recorded=False)
    jobs: int = option(0, JOBS_HELP, minimum=0, recorded=False)
    force: bool = option(False, FORCE_HELP, recorded=False)


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """Options of `unetseg export`."""

    model: Path = option(MODEL, f"{A_MODEL}.")
    output: Path = option(EXPORT, "Folder for the results.")
    format: tuple[str, ...] = option(
        ("onnx",),
        "Format: onnx, a single file for most programs and languages; savedmodel, for TensorFlow; "
        "bioimageio, a package for bioimage.io with normalisation. May be given several times.",
        choices=("onnx", "savedmodel", "bioimageio"),
    )
    volume: Path | None = option(
        None,
        "Stack to test the export on, or a folder that holds train-volume.tif; a piece of it "
        "becomes the example in a package.  [default: the training stack, or a synthetic slice if "
        "it is gone]",
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
        3, "Number of held-out slices to show, evenly from the best to the worst.", minimum=1
    )
    places: int = option(
        4,
        "Number of the worst splits, and of the worst merges, to enlarge; for linked cells, of the "
        "least certain decisions to join and to separate.",
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
        "Stack of images, in any format that `unetseg predict` reads.  [default: the predicted "
        "stack]",
    )
    labels: Path | None = option(
        None,
        "True labels of the same slices.  [default: NAME-labels.tif beside NAME-volume.tif; for "
        "held-out slices those in the model folder]",
    )
    cells: Path | None = option(
        None,
        "Cells, or the folder of `unetseg segment`.  [default: cells in the work folder, if they "
        "are of this prediction]",
    )
    voxel: str | None = option(None, VOXEL_HELP)
    three_d: bool = option(
        False,
        "Open in 3-D, with the cells as solids and everything else hidden; reads all slices into "
        "memory.",
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
        "What to hold out in turn: blocks, as many as --folds; or volumes.",
        choices=("blocks", "volumes"),
    )
