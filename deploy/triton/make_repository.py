"""A model repository for NVIDIA's Triton Inference Server, from an exported SavedModel.

    python deploy/triton/make_repository.py saved_model repository --name sentiment

It writes `repository/sentiment/config.pbtxt` and the version folder `1`, or the one after the highest that is there,
with the SavedModel and a `model.py` for Triton's Python backend. The signature's inputs and outputs keep their names.
Triton wants a dimension behind the rows: a text is `[rows, 1]`, a list of texts `[rows, most]`. So many rows that wait
as `--max-batch-size` says are answered in one call.

The environment whose `python3` comes first where tritonserver starts needs TensorFlow and tensorflow_text; the Python
backend of the wheel `nvidia-pytriton` wants NumPy 1 there.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

TYPES = {
    types_pb2.DT_STRING: "TYPE_STRING",
    types_pb2.DT_FLOAT: "TYPE_FP32",
    types_pb2.DT_INT32: "TYPE_INT32",
    types_pb2.DT_INT64: "TYPE_INT64",
    types_pb2.DT_BOOL: "TYPE_BOOL",
}


def main() -> None:
    """Reads the arguments and writes the repository."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("saved_model", type=Path, help="what 'keras-bert export' wrote")
    parser.add_argument("repository", type=Path, help="folder for tritonserver --model-repository")
    parser.add_argument("--name", required=True, help="what the model is called")
    parser.add_argument("--signature", default="serving_default", help="the signature that is asked")
    parser.add_argument("--max-batch-size", type=int, default=32, help="rows of a call at most")
    parser.add_argument("--instances", type=int, default=1, help="processes that answer side by side")
    arguments = parser.parse_args()
    print(make(**vars(arguments)))


def make(saved_model: Path, repository: Path, name: str, signature: str, max_batch_size: int, instances: int) -> Path:
    """Writes the version folder, which appears whole, and returns it; arguments as of the command."""
    content = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    signatures = content.meta_graphs[0].signature_def
    if signature not in signatures:
        named = ", ".join(key for key in signatures if not key.startswith("__"))
        raise SystemExit(f"{saved_model}: has no signature {signature}; choose one of {named}")
    model = repository / name
    model.mkdir(parents=True, exist_ok=True)
    numbers = [int(folder.name) for folder in model.iterdir() if folder.name.isdecimal()]
    version = model / str(1 + max(numbers, default=0))
    aside = model / f".{version.name}"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(saved_model, aside / "saved_model")
    shutil.copy(Path(__file__).with_name("model.py"), aside)
    (aside / "signature.txt").write_text(signature)
    (model / "config.pbtxt").write_text(_config(name, signatures[signature], max_batch_size, instances))
    aside.rename(version)
    return version


def _config(name: str, signature: object, max_batch_size: int, instances: int) -> str:
    lines = [f'name: "{name}"', 'backend: "python"', f"max_batch_size: {max_batch_size}", "dynamic_batching { }"]
    lines.append(f"instance_group [ {{ count: {instances} kind: KIND_CPU }} ]")
    for field, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for key in sorted(tensors):
            sizes = [size.size for size in tensors[key].tensor_shape.dim[1:]] or [1]
            dims = ", ".join(map(str, sizes))
            lines.append(f'{field} {{ name: "{key}" data_type: {TYPES[tensors[key].dtype]} dims: [ {dims} ] }}')
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
