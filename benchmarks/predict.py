"""How fast prediction is: against plain Keras, the paper's network, other engines, and the limit.

    python benchmarks/predict.py --model work/model --volume data/test-volume.tif

First whole commands, from the start of Python to the written file: `unetseg predict` without
averaging, and a script of a few lines that loads the same model with Keras and calls
`Model.predict` on the slices. Then the networks alone, on one image. ONNX Runtime and OpenVINO take
part where they are installed (onnxruntime, tf2onnx, openvino), and their results are compared.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from step import matrix_product_rate, multiply_adds

from unetseg.engine.prediction import Predictor, build_network, load_predictor, open_model
from unetseg.network.recipes import NETWORKS, NetworkOptions
from unetseg.stacks.opening import open_volume

PLAIN = """
import sys, keras, numpy as np, tifffile
model = keras.saving.load_model(sys.argv[1])
stack = tifffile.imread(sys.argv[2]).astype(np.float32)
stack = (stack - stack.mean((1, 2), keepdims=True)) / stack.std((1, 2), keepdims=True)
tifffile.imwrite(sys.argv[3], model.predict(stack[..., None], batch_size=1, verbose=0)[..., 0])
"""
Run = Callable[[], Any]


def seconds(run: Run, times: int) -> float:
    """The median, after one that does not count."""
    run()
    clock = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        clock.append(time.perf_counter() - start)
    return statistics.median(clock)


def time_commands(model: Path, volume: Path) -> None:
    """Whole commands, the median of three."""
    with open_volume(volume) as stack:
        pixels = np.prod(stack.shape)
    with tempfile.TemporaryDirectory() as folder:
        ours = [sys.executable, "-m", "unetseg", "predict", "--no-tta", "--force"]
        ours += ["--model", str(model), "--volume", str(volume), "--output", f"{folder}/out"]
        plain = [sys.executable, "-c", PLAIN]
        plain += [str(model / "model.keras"), str(volume), f"{folder}/plain.tif"]
        took = {
            name: seconds(
                lambda command=command: subprocess.run(command, check=True, capture_output=True), 3
            )
            for name, command in (("unetseg predict", ours), ("Model.predict", plain))
        }
    for name, time_taken in took.items():
        print(
            f"{name:16} {time_taken:5.1f} s, {pixels / time_taken / 1e6:.2f} megapixels a second, "
            f"{took['Model.predict'] / time_taken:.2f} times Model.predict"
        )


def other_engines(network: Any) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The same network in those engines that are installed."""
    engines: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    folder = tempfile.mkdtemp()
    try:
        import onnxruntime

        network.export(f"{folder}/m.onnx", format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(
            f"{folder}/m.onnx", providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        engines["ONNX Runtime"] = lambda x: session.run(None, {name: x})[0]
    except ImportError as error:
        print(f"ONNX Runtime is left out: {error}")
    try:
        import openvino

        network.export(f"{folder}/m.xml", format="openvino", verbose=False)
        compiled = openvino.Core().compile_model(
            f"{folder}/m.xml",
            "CPU",
            {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"},
        )
        engines["OpenVINO"] = lambda x: compiled(x)[0]
    except ImportError as error:
        print(f"OpenVINO is left out: {error}")
    return engines


def time_networks(model: Path, edge: int) -> None:
    """One slice through the networks alone, and their share of the limit."""
    predictor = load_predictor(model)
    settings = NetworkOptions(**open_model(model).details["network"])
    unfolded = build_network(settings, seed=0)
    unfolded.compile(jit_compile=False)
    paper = Predictor(build_network(NETWORKS["paper"], seed=0), NETWORKS["paper"])
    image = np.random.default_rng(0).standard_normal((edge, edge)).astype(np.float32)
    batch = image[None, :, :, None]
    ours = predictor.run(image)
    rate = matrix_product_rate()
    limit = multiply_adds(predictor.network, edge) / rate
    reference = seconds(lambda: predictor.run(image), 15)
    print(
        f"\nOne image of {edge} x {edge}; matrix product {rate / 1e9:.0f} G multiply-adds a second"
    )
    print(f"{'ours':22} {reference * 1e3:6.0f} ms, {limit / reference:.0%} of the limit")
    others: dict[str, tuple[Run, int]] = {
        "normalisation unfolded": (lambda: unfolded.predict_on_batch(batch), 15),
        "paper network": (lambda: paper.run(image), 2),
    }
    for name, run in other_engines(predictor.network).items():
        difference = np.abs(run(batch)[0, :, :, 0] - ours).max()
        others[f"{name} ({difference:.0e})"] = (lambda run=run: run(batch), 15)
    for name, (work, times) in others.items():
        took = seconds(work, times)
        print(f"{name:22} {took * 1e3:6.0f} ms, ours is {took / reference:.2f} times as fast")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("work/model"))
    parser.add_argument("--volume", type=Path, default=Path("data/test-volume.tif"))
    options = parser.parse_args()
    time_commands(options.model, options.volume)
    time_networks(options.model, 576)


if __name__ == "__main__":
    main()
