"""Configurations of training runs, by name. Everything that a run depends on is a commented field."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from facequery.errors import UserError
from facequery.models.landmarks import LandmarkConfig


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from and how they are varied."""

    renders: float = 0.6  # share of renders in each batch
    portraits: float = 0.4  # share of pseudo-labelled portraits in each batch
    portrait_labels: str = ".cache/portraits.npz"  # written by tools/label_portraits.py; relative to the checkout
    queries: int = 256  # queries per image and step
    hidden_weight: float = 0.5  # weight of queries that cannot be seen: the network has to extrapolate, but less
    slots: int = 3072  # images kept in the shared ring buffer
    reuse: float = 3.0  # how often an image is used on average before it is replaced
    processes: int = 1  # processes that make images
    flip: bool = True  # mirror portraits, with left and right points exchanged
    colour: bool = True  # hue, saturation, brightness, contrast, gray, blur, noise, compression (CLD, section 4.3)
    affine: bool = True  # integral and fractional shift, isotropic and anisotropic scale, rotation
    rare: bool = True  # draw portraits with open mouths and turned heads more often
    cutout: float = 0.35  # probability that shapes cover parts of a portrait


@dataclass(frozen=True)
class LossConfig:
    """What is minimised; residuals are in pixels of the crop, not in [-1, 1]."""

    kind: str = "wing"  # mean by "wing" or "l2" with sigma on the detached residual; "joint": Gaussian likelihood (CLD)
    wing_width: float = 10.0  # pixels; below it the loss is logarithmic (Feng et al., CVPR 2018, equation 5)
    wing_curvature: float = 3.0  # pixels; smaller values care less about large errors, such as open mouths
    sigma_weight: float = 0.25  # weight of the likelihood that trains sigma (not of "joint")
    correction_weight: float = 20.0  # weight of the squared length of the data sets' query shifts (network units)


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    name: str = "default"
    network: str = "landmarks"  # "landmarks" or "finder"
    model: LandmarkConfig = field(default_factory=LandmarkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    imagenet: bool = True  # MobileNetV2 starts from the ImageNet weights of the source data
    frozen_stages: int = 3  # first stages of the encoder that keep their initial weights: quicker, and less to unlearn
    batch: int = 32
    learning_rate: float = 8e-4  # at its peak
    encoder_rate: float = 0.5  # the encoder's learning rate over the others'
    weight_decay: float = 0.02  # of matrices and kernels alone
    warmup: float = 0.02  # share of the run over which the rate rises; afterwards it falls as a cosine
    final_rate: float = 0.01  # rate at the end, over the peak
    clip: float = 200.0  # largest norm of the gradient; usual are 50 to 150, since the loss is in pixels
    ema: float = 0.998  # decay of the exponential moving average of the weights, which is what is kept
    minutes: float = 150.0  # length of the schedule in minutes of training; ignored when `steps` is given
    steps: int = 0  # length of the schedule in steps
    seed: int = 1
    bf16: bool = True  # automatic mixed precision with bfloat16
    threads: int = 1  # torch threads on the CPU; the other cores render
    deterministic: bool = False  # examples made in this process from seed and step: bit-identical after --resume
    checkpoint_minutes: float = 3.0
    evaluate_minutes: float = 10.0  # 0: never
    sheet_minutes: float = 10.0  # contact sheet of predictions; 0: never

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


CONFIGS: dict[str, TrainConfig] = {
    "default": TrainConfig(),
    "finder": TrainConfig(
        name="finder", network="finder", frozen_stages=3, batch=16, minutes=25.0, ema=0.995,
        data=DataConfig(renders=0.55, portraits=0.45, slots=2048, reuse=5.0),
        evaluate_minutes=4.0, sheet_minutes=4.0,
    ),
    "tiny": TrainConfig(
        name="tiny",
        model=LandmarkConfig(encoder="resnet_dense", input_size=64, levels=1, reduced=32, descriptor=64, hidden=64),
        data=DataConfig(queries=32, slots=64, renders=1.0, portraits=0.0),
        imagenet=False, frozen_stages=0, batch=8, steps=20, ema=0.9, bf16=False, deterministic=True,
        evaluate_minutes=0, sheet_minutes=0,
    ),
}  # fmt: skip


def config_by_name(name: str, **changes: Any) -> TrainConfig:
    """A configuration, with fields replaced. Raises UserError for an unknown name."""
    if name not in CONFIGS:
        raise UserError(f'There is no training configuration "{name}".', f"Known: {', '.join(CONFIGS)}.", "FQ501")
    return replace(CONFIGS[name], **changes)
