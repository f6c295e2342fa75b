"""Makes the embedded backbone: a small ViT distilled from real DeiT-Tiny features.

The teacher (deit_tiny_patch16_224 at 128x128: an 8x8 grid of 16 px patches) and the student (64x64, 8 px patches: the
same 8x8 grid) see the same augmented view. The loss is one minus the cosine between the student's projected tokens and
the teacher's standardised tokens, for the class token and for the patches.

    python examples/distil_embedded.py --weights deit_tiny_patch16_224.safetensors --out embedded.safetensors FOLDER...
"""

import argparse
import math
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F
from torchvision import transforms as T

from neuroprompt.training.backbone import EMBEDDED

MEAN, STD = (torch.tensor(x).view(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@torch.inference_mode()
def views(folders: list[Path], count: int, weights: Path, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Augmented 64x64 views (uint8) and the teacher's tokens for them (fp16, (V, 65, 192))."""
    file = {"file": str(weights)}
    teacher = timm.create_model(
        "deit_tiny_patch16_224", pretrained=True, pretrained_cfg_overlay=file, img_size=128, num_classes=0
    )
    assert isinstance(teacher, VisionTransformer)
    teacher.to(device).eval()
    files = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    augment = T.Compose(
        [
            T.RandomResizedCrop(128, scale=(0.25, 1.0), antialias=True),
            T.RandomHorizontalFlip(),
            T.RandomVerticalFlip(0.2),
            T.ColorJitter(0.4, 0.4, 0.3, 0.05),
            T.RandomGrayscale(0.1),
            T.PILToTensor(),
        ]
    )
    order = [files[i] for _ in range(count) for i in torch.randperm(len(files)).tolist()]
    images, tokens = [], []
    for i in range(0, len(order), 128):
        x = torch.stack([augment(Image.open(p).convert("RGB")) for p in order[i : i + 128]]).float() / 255
        if i % 512 == 0:  # every fourth batch is mixed images: new content from few files
            x = torch.lerp(x, x.roll(1, 0), 0.5 * torch.rand(len(x), 1, 1, 1))
        small = F.interpolate(x, size=64, mode="bilinear", antialias=True)
        tokens.append(teacher.forward_features(((x - MEAN) / STD).to(device)).half().cpu())
        images.append((small * 255).round().clamp(0, 255).byte())
        if i % 5120 == 0:
            print(f"views {i}/{len(order)}", flush=True)
    return torch.cat(images), torch.cat(tokens)


def distil(args: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    images, tokens = views(args.folders, args.views, args.weights, device)
    sample = tokens[:4096].float()
    centre, spread = sample.mean((0, 1)), sample.std((0, 1))
    student = VisionTransformer(**EMBEDDED).to(device)
    heads = nn.ModuleList([nn.Linear(128, 192), nn.Linear(128, 192)]).to(device)
    parameters = [*student.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1.5e-3, weight_decay=0.05)
    steps, warm, step = args.epochs * (len(images) // 128), 300, 0
    for epoch in range(min(args.epochs, args.stop)):
        total = 0.0
        for pick in torch.randperm(len(images)).split(128)[: len(images) // 128]:
            for group in optimiser.param_groups:
                group["lr"] = 1.5e-3 * min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / steps)))
            out = student.forward_features(((images[pick].float() / 255 - MEAN) / STD).to(device))
            want = ((tokens[pick].float() - centre) / spread).to(device)
            pairs = zip(heads, (out[:, 0], out[:, 1:]), (want[:, 0], want[:, 1:]), strict=True)
            loss = torch.stack([1 - F.cosine_similarity(head(o), w, dim=-1).mean() for head, o, w in pairs]).sum()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            step, total = step + 1, total + loss.item()
        print(f"epoch {epoch + 1}/{args.epochs}  loss {total / (len(images) // 128):.4f}", flush=True)
        save_file({k: v.half().cpu().contiguous() for k, v in student.state_dict().items()}, args.out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("embedded.safetensors"))
    parser.add_argument("--views", type=int, default=8, help="augmented views of each image")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--stop", type=int, default=10**6, help="end after this pass, on the schedule of --epochs")
    parser.add_argument("--seed", type=int, default=0)
    distil(parser.parse_args())
