"""`unetseg export`: a model in formats for other programs, each tested before it is published."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.intensity import NORMALISATIONS
from unetseg.arrays.synthetic import synthesize
from unetseg.arrays.tiles import middle_of, mirrored
from unetseg.arrays.tissue import all_tissue
from unetseg.artifacts.finding import find_model
from unetseg.artifacts.forms import MODEL, require
from unetseg.artifacts.manifest import MANIFEST, Manifest
from unetseg.artifacts.workfolder import trained_on
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.prediction import Predictor, open_model, read_network
from unetseg.errors import OutputError
from unetseg.figures.cover import draw_cover
from unetseg.models import modelpackage
from unetseg.models.exporting import (
    OPSET,
    Run,
    check_saved_model,
    import_onnx,
    open_onnx,
    open_saved_model,
    write_onnx,
    write_saved_model,
)
from unetseg.models.modelcard import ModelCard
from unetseg.network.backend import backend_version, describe_backend, use_full_precision
from unetseg.network.inference import prepare
from unetseg.options import ExportOptions
from unetseg.progress import Progress, StageResult
from unetseg.stacks.hashing import fingerprint
from unetseg.stacks.location import is_there
from unetseg.stacks.opening import find_stack, open_volume

if TYPE_CHECKING:
    import keras

NAMES = {
    "onnx": "model.onnx",
    "savedmodel": "saved_model",
    "bioimageio": "model.bioimageio.zip",
}
PACKAGE = ".package"

# Sums of float32 in another order, and a normalisation folded into the convolutions before it,
# changed probabilities by up to 5e-6 in both networks. Twenty times that is allowed: still a
# fortieth of the step between two grey levels of 255.
TOLERANCE = 1e-4


def export(options: ExportOptions, progress: Progress) -> StageResult:
    """Write a trained model in formats that other programs run.

    Each copy is run on pixels of a stack, and compared with the model, before it is published.

    Parameters
    ----------
    options : ExportOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If the model folder is not complete, or the volume cannot be read.
    UsageError
        If the backend of Keras cannot write a format, or bioimage.io does not accept a name.
    UnetsegError
        If a package is missing.
    OutputError
        If what was written does not do what the model does.
    """
    options = replace(options, model=find_model(options.model))
    manifest = open_model(options.model)
    require(manifest, options.model / MANIFEST, details=MODEL)
    formats = [name for name in NAMES if name in options.format]
    _check_possible(formats)
    card = ModelCard(manifest)
    stack = _find_stack(options, manifest)
    with StageWriter(
        options.output,
        stage="export",
        options=options.recorded(),
        inputs=[manifest, *([stack] if stack else [])],
        names=NAMES.values(),
    ) as writer:
        if not options.force and writer.is_current():
            return writer.nothing_to_do()
        use_full_precision()
        example = _read_example(stack, manifest, edge=modelpackage.smallest_tile(card))
        job = _Job(options, manifest, card, example)
        writer.check_inputs()  # the network is that of the manifest
        differences = {}
        for name in progress.track(formats, total=len(formats), label="export", unit="format"):
            path = writer.path(NAMES[name])
            differences[path.name] = difference = WAYS[name](job, path)
            if not difference <= TOLERANCE:
                raise _wrong(options.output / path.name, f"a difference of {difference:.2g}")
        writer.details.update(
            differences=differences,
            tolerance=TOLERANCE,
            example=example.text,
            notes=card.notes(),
            **describe_backend(),
        )
    return writer.result(
        [f"{options.model}: {card.name}"], notes=_notes(differences, example, options)
    )


@dataclass(frozen=True)
class _Example:
    """A piece of a slice to test exported models on.

    Attributes
    ----------
    pixels : (H, W)
        Grey levels.
    text : str
        What it shows.
    """

    pixels: npt.NDArray[Any]
    text: str


class _Job:
    """The model that is exported, and its prediction of the example."""

    def __init__(
        self, options: ExportOptions, manifest: Manifest, card: ModelCard, example: _Example
    ) -> None:
        self.options, self.manifest, self.card, self.example = options, manifest, card, example
        model, settings = read_network(options.model, manifest)
        self.network: keras.Model = Predictor(model, settings).network
        # With the network as it was trained, not the one that is exported.
        run = prepare(model)
        normalised = _normalise(example.pixels, card.normalisation)
        self._tiles = _cut(normalised, multiple=card.multiple)
        self._expected = [np.stack([run(image) for image in tiles]) for tiles in self._tiles]

    @property
    def prediction(self) -> npt.NDArray[np.float32]:
        """The model's prediction of the whole example, (H, W)."""
        whole: npt.NDArray[np.float32] = self._expected[0][0]
        return whole

    def difference(self, run: Run) -> float:
        """Return the largest difference between outputs of the model and of a copy of it."""
        return max(
            float(np.abs(run(tiles[..., None])[..., 0] - expected).max())
            for tiles, expected in zip(self._tiles, self._expected, strict=True)
        )


def _normalise(pixels: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    """Normalise as an exported package does, which knows of no missing pixels."""
    return NORMALISATIONS[name].of(all_tissue(pixels), [pixels])(pixels)


def _cut(image: npt.NDArray[np.float32], *, multiple: int) -> list[npt.NDArray[np.float32]]:
    """Batches of tiles, (N, H, W), of several numbers and sizes: the whole, and two corners."""
    height = image.shape[0] // 2 // multiple * multiple
    width = height + multiple
    corners = [image[:height, :width], image[-height:, -width:]]
    return [image[None], np.stack(corners)]


def _check_possible(formats: list[str]) -> None:
    """Raise before any work is done if a package is missing or the backend will not do."""
    if "onnx" in formats or "bioimageio" in formats:
        import_onnx()
    if "savedmodel" in formats:
        check_saved_model()
    if "bioimageio" in formats:
        modelpackage.import_bioimageio(describe_backend()["backend"])


def _find_stack(options: ExportOptions, manifest: Manifest) -> Path | None:
    """Find the stack to test exported models on; None if the user named none and none is there."""
    if options.volume:
        path = find_stack(options.volume, "train-volume.tif")
    else:
        path = trained_on(options.model, manifest)
        if not is_there(path):
            return None
    open_volume(path).close()
    return path


def _read_example(stack: Path | None, manifest: Manifest, *, edge: int) -> _Example:
    """Read the middle of a slice, edge x edge; a held-out one if the stack was trained on."""
    if stack is None:
        images, _ = synthesize(slices=1, height=edge, width=edge, rng=np.random.default_rng(0))
        return _Example(images[0], "a synthetic slice")
    held_out = manifest.details["held_out"]
    known = [source["sha256"] for source in manifest.details["data"]]
    of_training = bool(held_out) and fingerprint(stack)[1] in known
    with open_volume(stack) as volume:
        index = held_out[0] if of_training else 0
        part = volume.part(index, middle_of(volume.own_size(index), most=edge))
    # Slices that are smaller are mirrored outwards.
    rows, columns = (mirrored(slice(0, edge), border=0, size=size) for size in part.shape)
    kind = "held out" if of_training else "counted from 0"
    return _Example(
        part[np.ix_(rows, columns)], f"the middle of slice {index} ({kind}) of {stack.name}"
    )


def _export_onnx(job: _Job, path: Path) -> float:
    write_onnx(job.network, path, notes=job.card.notes())
    return job.difference(open_onnx(path))


def _export_saved_model(job: _Job, path: Path) -> float:
    write_saved_model(job.network, path, notes=job.card.notes())
    return job.difference(open_saved_model(path))


def _export_package(job: _Job, path: Path) -> float:
    folder = path.parent / PACKAGE
    folder.mkdir()
    write_onnx(job.network, folder / modelpackage.ONNX, notes=job.card.notes())
    shutil.copyfile(job.options.model / "model.keras", folder / modelpackage.KERAS)
    pixels = job.example.pixels.astype(np.float32)
    np.save(folder / modelpackage.TEST_INPUT, pixels[None, ..., None])
    np.save(folder / modelpackage.TEST_OUTPUT, job.prediction[None, ..., None])
    draw_cover(folder / modelpackage.COVER, image=pixels, prediction=job.prediction)
    document = job.card.document(example=job.example.text)
    (folder / modelpackage.DOCUMENT).write_text(document, encoding="utf-8", errors="replace")
    description = modelpackage.describe_package(
        job.card,
        modelpackage.Weights(
            keras=job.manifest.details["keras"],
            # The version that tests the package; which version trained it is not recorded.
            backend=describe_backend()["backend"],
            backend_version=backend_version(),
            opset=OPSET,
        ),
        author=job.options.author,
        licence=job.options.license,
    )
    modelpackage.write_package(path, folder, description)
    difference = modelpackage.run_package(path)
    if difference <= TOLERANCE and (failures := modelpackage.check_package(path)):
        raise _wrong(job.options.output / path.name, f"failures of its tests ({failures})")
    return difference


WAYS: dict[str, Callable[[_Job, Path], float]] = {
    "onnx": _export_onnx,
    "savedmodel": _export_saved_model,
    "bioimageio": _export_package,
}


def _wrong(path: Path, found: str) -> OutputError:
    return OutputError(
        f"{path}: expected probabilities within {TOLERANCE:g} of the model's, found {found}; "
        "nothing was written: report it, with the versions of what the format takes"
    )


def _notes(differences: dict[str, float], example: _Example, options: ExportOptions) -> list[str]:
    notes = [
        f"{name}: differs from the model by at most {difference:.1g} ({TOLERANCE:g} is allowed)"
        for name, difference in differences.items()
    ]
    notes.append(f"tried out on {example.text}")
    if "bioimageio" in options.format:
        notes[-1] += ", which the package holds as its example"
        missing = [f"--{name}" for name in ("author", "license") if not getattr(options, name)]
        if missing:
            notes.append(f"bioimage.io asks for {' and '.join(missing)} before it is published")
    return notes
