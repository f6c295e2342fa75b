"""Runs the experiments behind RESULTS.md on one accelerator: many runs side by side on one frozen backbone.

The backbone is frozen and the same for all, so runs that differ in seed and rates share one batch: run k has its own
images, prompt and head, and the sum of all losses gives each its own gradients. Prompts, heads, backbones, noises, the
optimiser's settings and the schedule are the product's; the loop is this file's. So `neuroprompt train` with a row's
settings gives a comparable model, not the same bits: the order of images comes from another generator, the short last
batch of an epoch is left out, and final runs learn from training and validation images together.

A study (method, settings, data, backbone, size) is searched first: a grid of the prompt's rate times the head's, on
validation images (a fifth of the training images), the grid extended while the best is at its edge. The best pair is
then trained on all training images with every seed, and tested on the whole test split, clean and under the noises.
Noise depends on the image alone, so results are paired over methods. The test split chooses nothing. `logistic` is the
floor: a converged logistic regression on the frozen features, its C chosen on validation.

    python examples/evidence.py --assets assets --out results --seconds 480
    python examples/evidence.py --assets assets --out results --device cpu --tiny   # a rehearsal

Every result is one line of `results/evidence.jsonl`; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import time
import traceback
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from evidence_data import Study, backbone_of, prepare, size_at, studies, tensors_of
from evidence_results import read, write
from evidence_runs import BATCH, Team, mixed
from evidence_study import run

import neuroprompt as npt
from neuroprompt.training.workers import begin


def exact() -> None:
    """Float32 is float32: TF32 off."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def loaded(args: argparse.Namespace, study: Study) -> tuple[Any, dict[str, Any]]:
    """Backbone and tensors of a study; `--tiny` keeps few images."""
    backbone = backbone_of(args.assets, study.backbone, study.px, args.device)
    parts = args.parts if study.noisy else 1
    tensors = tensors_of(args.work, study.data, size_at(study, backbone), parts, args.device)
    if args.tiny:
        few = {name: (tensors[name][0][::13], tensors[name][1][::13]) for name in ("train", "val", "test")}
        noisy = {name: images[::13] for name, images in tensors["noises"].items()}
        tensors = {**tensors, **few, "noises": noisy}
    return backbone, tensors


def work(args: argparse.Namespace, todo: list[Study], turn: Any, stop: float) -> None:
    """One worker: takes the next study until none is left or the time is over, or the process that started it ends."""
    begin(0)
    torch.set_num_threads(1)
    exact()
    rows = read(args.results)
    device = torch.cuda.get_device_name() if args.device == "cuda" else f"cpu, {'bf16' if mixed('cpu') else 'fp32'}"
    while time.time() < stop:
        with turn.get_lock():
            mine, turn.value = turn.value, turn.value + 1
        if mine >= len(todo):
            return
        study = todo[mine]
        about = {**study.about(), "batch": BATCH, "device": device}
        try:
            backbone, tensors = loaded(args, study)
            done = [row for row in rows if row.get("study") == study.name and row["kind"] != "error"]
            for row in run(study, backbone, tensors, done):
                write(args.results, {**about, **row})
                print(f"{time.strftime('%X')} {study.name} {row['kind']} {row['seed']} val {row.get('val', 0):.3f} "
                      f"{row.get('lr_prompt', 0):g}/{row.get('lr_head', 0):g} clean {row.get('clean', 0):.3f}", flush=True)  # fmt: skip  # noqa: E501
                if time.time() > stop and row["kind"] == "search":
                    return
        except Exception as error:  # one study's failure must not end the others
            traceback.print_exc()
            write(args.results, {**about, "kind": "error", "error": f"{type(error).__name__}: {error}"[:500]})
            if args.device == "cuda":
                torch.cuda.empty_cache()


def smoke(args: argparse.Namespace, todo: list[Study]) -> None:
    """Time a training step of each kind of method, so that a mistake shows early."""
    for study in todo:
        try:
            backbone, tensors = loaded(args, study)
            for k in (1, study.side):
                team = Team(study, backbone, len(tensors["classes"]), [(s, 1e-2, 3e-3) for s in range(k)])
                team.fit(*tensors["train"], steps=3)
                times = []
                for call in (lambda: team.fit(*tensors["train"], steps=args.smoke), lambda: team.correct(*tensors["test"])):  # fmt: skip  # noqa: E501, B023
                    began = time.monotonic()
                    call()
                    if args.device == "cuda":
                        torch.cuda.synchronize()
                    times.append(time.monotonic() - began)
                step, tests = times[0] / args.smoke, times[1] / len(tensors["test"][0]) / k
                memory = torch.cuda.max_memory_allocated() / 2**30 if args.device == "cuda" else 0
                print(f"{study.name}: {k} side by side, {1e3 * step:.1f} ms a step, {1e6 * step / k / BATCH:.1f} us an "
                      f"image, {1e6 * tests:.1f} us an image tested, {memory:.1f} GiB", flush=True)  # fmt: skip
        except Exception:
            traceback.print_exc()


def main() -> None:
    """Prepare the data, start the workers, end them in time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="a folder with weights/ and data/")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--work", type=Path, default=None, help="where prepared data are kept (OUT/prepared)")
    parser.add_argument("--studies", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=480.0, help="start nothing after so many seconds")
    parser.add_argument("--grace", type=float, default=45.0, help="end the workers so many seconds later")
    parser.add_argument("--only", default="", help="studies whose name holds one of these words, in their order")
    parser.add_argument("--tiny", action="store_true", help="few images and epochs: a rehearsal")
    parser.add_argument("--smoke", type=int, default=0, metavar="STEPS", help="time so many steps of a few studies")
    args = parser.parse_args()
    began = time.time()
    args.out.mkdir(parents=True, exist_ok=True)
    args.work = args.work or args.out / "prepared"
    args.work.mkdir(parents=True, exist_ok=True)
    exact()
    args.results = args.out / "evidence.jsonl"
    args.parts = 1 if args.device == "cpu" else 1 + min(12, args.cores)  # a CPU makes noise as fast as it uses it
    words = [word for word in args.only.split(",") if word]
    there = (args.assets / "data", set(npt.Prompt.names()) | {"logistic"})
    todo = [s for s in studies(args.studies, args.tiny) if (there[0] / s.data).is_dir() and s.method in there[1]]
    if words:
        place = {s.name: next((i for i, word in enumerate(words) if word in s.name), -1) for s in todo}
        todo = sorted((s for s in todo if place[s.name] >= 0), key=lambda s: place[s.name])
    context = mp.get_context("spawn")
    sizes: dict[tuple[str, int], int] = {}
    for s in todo:
        of = (s.data, size_at(s, backbone_of(args.assets, s.backbone, s.px, "cpu")))
        sizes[of] = max(sizes.get(of, 1), args.parts if s.noisy else 1)
    jobs = [(args.assets, args.work, (*of, part, parts)) for of, parts in sizes.items() for part in range(parts)]
    pool = context.Pool(args.cores)
    waiting = pool.starmap_async(prepare, jobs, chunksize=1)
    print(f"{len(todo)} studies, {len(jobs)} jobs of preparation", flush=True)
    if args.smoke:
        smoke(args, todo)
        waiting.get()
        return
    turn, stop = context.Value("i", 0), began + args.seconds
    team = [context.Process(target=work, args=(args, todo, turn, stop)) for _ in range(args.workers)]
    for process in team:
        process.start()
    while any(process.is_alive() for process in team) and time.time() < stop + args.grace:
        time.sleep(0.5)
        if waiting.ready() and not waiting.successful():
            waiting.get()
    for process in team:
        process.terminate()
    pool.terminate()
    rows = read(args.results)
    print(f"{len(rows)} rows, {sum(r['kind'] == 'final' for r in rows)} final, "
          f"{sum(r['kind'] == 'error' for r in rows)} errors, {time.time() - began:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
