"""Configurations of training runs, by name. Everything that a run depends on is a commented field."""

import ast
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

from facequery.errors import UserError
from facequery.models.landmarks import LandmarkConfig


@dataclass(frozen=True)
class SetConfig:
    """A data set on disk as a source of training pictures."""

    folder: str  # rendered by Cycles, position maps, or annotated pictures with a landmarks.json; see `readers`
    weight: float = 1.0  # share of each batch, beside `renders` and `portraits`
    layout: str = ""  # of annotated pictures: where the queries lie; by default the layout that the folder names
    clips: bool = False  # clips from its stills instead of single pictures


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from and how they are varied. Shares are relative to their sum."""

    renders: float = 0.6  # share of renders in each batch
    portraits: float = 0.4  # share of pseudo-labelled portraits in each batch
    portrait_labels: str = ".cache/portraits.npz"  # written by tools/label_portraits.py; relative to the checkout
    portrait_skins: float = 0.5  # share of the renders with skins baked from portraits, where there are such skins
    portrait_skin_folder: str = ".cache/portrait_skins"  # written by tools/portrait_skins.py; relative to the checkout
    off_basis: float = 0.001  # metres RMS by which rendered heads leave the identity basis, so that what is learned is
    # to follow the picture; not the shapes of the held-out renders
    features: float = 1.0  # how far brows and lips of rendered heads leave the basis, which varies them too little
    render_clips: float = 0.0  # share of rendered clips, for the temporal loss
    portrait_clips: float = 0.0  # share of clips made from portraits: the crop wanders, the noise is new in each frame
    sets: tuple[SetConfig, ...] = ()  # data sets on disk
    clip_frames: int = 4  # frames of a clip
    queries: int = 256  # queries per image and step
    render_queries: str = ""  # of renders: "" the whole pool, "dense" that without the layouts, or one layout's name
    hidden_weight: float = 0.3  # weight of queries that cannot be seen: the network has to extrapolate, but less
    slots: int = 3072  # images kept in the shared ring buffer
    reuse: float = 3.0  # how often an image is used on average before it is replaced
    processes: int = 0  # processes that make images; 0: one for each core that does not train
    flip: bool = True  # mirror pictures from disk, with left and right points exchanged
    colour: bool = True  # hue, saturation, brightness, contrast, gray, blur, noise, compression (CLD, section 4.3)
    affine: bool = True  # integral and fractional shift, isotropic and anisotropic scale, rotation
    rare: bool = True  # draw portraits with open mouths and turned heads more often
    second_face: float = 0.15  # probability that another, smaller face looks in from the side (not in clips or regions)
    cutout: float = 0.35  # probability that shapes cover parts of a picture from disk


@dataclass(frozen=True)
class LossConfig:
    """What is minimised; residuals are in pixels of the crop, not in [-1, 1]."""

    kind: str = "wing"  # mean by "wing", "l2" or "hybrid" (Dense520's 1.5 Wing(15, 3) + 0.5 squared error) with sigma
    # on the detached residual; "joint": Gaussian likelihood (CLD)
    wing_width: float = 10.0  # pixels; below it the loss is logarithmic (Feng et al., CVPR 2018, equation 5)
    wing_curvature: float = 2.0  # pixels; smaller values care less about large errors, such as open mouths
    earlier_weight: float = 0.3  # of the answers before the last step of local refinement
    sigma_weight: float = 0.25  # weight of the likelihood that trains sigma (not of "joint")
    correction_weight: float = 20.0  # weight of the squared length of the data sets' query shifts (network units)
    temporal_weight: float = 2.0  # weight of the change of the residual between the frames of a clip (pixels)
    offset_weight: float = 20.0  # 3D head: of the squared offset of landmarks from queries (network units); without it
    # offsets could do the head pose's work
    leaning_weight: float = 300.0  # 3D head: of the squared turn and shear (radians) that offsets amount to: from one
    # side a shear of the face looks like a turn of the head
    placing_weight: float = 0.5  # spatial transformer: of the resting head's landmarks, laid over the face (`placing`)


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    name: str = "default"
    network: str = "landmarks"  # "landmarks", "finder" or "dense520"
    model: LandmarkConfig = field(default_factory=LandmarkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    correction: bool = True  # semantic correction: every data set but the renders has its queries shifted (Inf3D)
    imagenet: bool = True  # MobileNetV2 starts from the ImageNet weights of the source data
    frozen_stages: int = 3  # first stages of the encoder that keep their initial weights: quicker, and less to unlearn
    batch: int = 32
    learning_rate: float = 8e-4  # at its peak
    encoder_rate: float = 0.5  # the encoder's learning rate over the others'
    careful_rate: float = 0.15  # that of layers whose units quick steps would shut off (`checkpoints.careful_layers`)
    weight_decay: float = 0.02  # of matrices and kernels alone
    smallest: float = (
        1e-4  # Adam's epsilon: gradients of a number are about 0.01 to 1, and those far below are rounding
    )
    # alone, which else would be stepped after as if it meant something
    warmup: float = 0.02  # share of the run over which the rate rises; afterwards it falls as a cosine
    final_rate: float = 0.01  # rate at the end, over the peak
    clip: float = 400.0  # largest norm of the gradient; usual are 100 to 300, since the loss is in pixels
    ema: float = 0.998  # decay of the exponential moving average of the weights, which is what is kept
    minutes: float = 150.0  # length of the schedule in minutes of training; ignored when `steps` is given
    steps: int = 0  # length of the schedule in steps
    seed: int = 1
    bf16: bool = True  # automatic mixed precision with bfloat16
    threads: int = 1  # torch threads on the CPU; the other cores render
    deterministic: bool = False  # examples made in this process from seed and step: bit-identical after --resume
    checkpoint_minutes: float = 3.0
    evaluate_minutes: float = 10.0  # 0: never
    epoch: int = 40_000  # images called an epoch, since renders never repeat; each ends with a contact sheet. 0: none

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


CONFIGS: dict[str, TrainConfig] = {
    "default": TrainConfig(
        model=LandmarkConfig(input_size=192, refine=3, blocks=2, anchors=128), learning_rate=5e-4, warmup=0.05,
        data=DataConfig(
            renders=0.7, portraits=0.3, portrait_clips=0.1, queries=192, hidden_weight=0.4, reuse=2.0
        ),
    ),
    "finder": TrainConfig(
        name="finder", network="finder", frozen_stages=3, batch=16, minutes=25.0, ema=0.995,
        data=DataConfig(renders=0.55, portraits=0.45, slots=2048, reuse=5.0),
        evaluate_minutes=4.0, epoch=8_000,
    ),
    "dense520": TrainConfig(
        name="dense520", network="dense520", batch=16, minutes=60.0, frozen_stages=0, encoder_rate=1.0,
        model=LandmarkConfig(input_size=256), loss=LossConfig(kind="hybrid"), clip=1e4,
        data=DataConfig(portraits=0.0, renders=1.0, slots=512),
    ),
    "tiny": TrainConfig(
        name="tiny",
        model=LandmarkConfig(encoder="resnet_dense", input_size=64, levels=1, reduced=32, descriptor=64, hidden=64),
        data=DataConfig(queries=32, slots=64, renders=1.0, portraits=0.0),
        imagenet=False, frozen_stages=0, batch=8, steps=20, ema=0.9, bf16=False, deterministic=True,
        evaluate_minutes=0, epoch=0,
    ),
}  # fmt: skip


def config_by_name(name: str, **changes: Any) -> TrainConfig:
    """A configuration, with fields replaced. Raises UserError for an unknown name."""
    if name not in CONFIGS:
        raise UserError(f'There is no training configuration "{name}".', f"Known: {', '.join(CONFIGS)}.", "FQ241")
    return replace(CONFIGS[name], **changes)


def changed(config: TrainConfig, settings: Sequence[str]) -> TrainConfig:
    """A configuration with fields replaced by `settings` such as "batch=16", "model.encoder=resnet18" or
    "data.sets=[{'folder': 'renders', 'weight': 0.2}]". Raises UserError for a field or a value that it cannot have.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f'"{setting}" sets nothing.', "Write FIELD=VALUE, as in data.renders=0.5.", "FQ253")
        config = _replaced(config, path.strip().split("."), text.strip(), path)
    return config


def _replaced(config: Any, names: list[str], text: str, path: str) -> Any:
    known = {f.name: f for f in fields(config)}
    if names[0] not in known:
        raise UserError(f'There is no field "{path}".', f"Known here: {', '.join(known)}.", "FQ253")
    old = getattr(config, names[0])
    if is_dataclass(old):
        if len(names) == 1:
            raise UserError(f'"{path}" has fields of its own.', f"Set one of them: {path}.FIELD=VALUE.", "FQ253")
        return replace(config, **{names[0]: _replaced(old, names[1:], text, path)})
    if names[0] == "sets":
        new: Any = _sets(text)
    elif isinstance(old, str):
        new = text
    else:
        try:
            new = {"true": True, "false": False}.get(text.lower())
            new = ast.literal_eval(text) if new is None else new
        except (ValueError, SyntaxError):
            new = None
        if isinstance(old, bool) != isinstance(new, bool) or not isinstance(new, (int, float)):
            raise UserError(f'"{path}" cannot be "{text}".', f"It is {old!r}; give the same kind of value.", "FQ253")
        if isinstance(old, int) and not isinstance(old, bool) and new != int(new):
            raise UserError(f'"{path}" cannot be "{text}".', "Give a whole number.", "FQ253")
        new = type(old)(new)
    return replace(config, **{names[0]: new})


def _sets(text: str) -> tuple[SetConfig, ...]:
    """Data sets from a list of dictionaries, or from "folder:weight,folder:weight"."""
    if text.startswith("["):
        try:
            return tuple(SetConfig(**entry) for entry in ast.literal_eval(text))
        except (ValueError, SyntaxError, TypeError) as error:
            raise UserError(
                "The data sets cannot be read.", "Write [{'folder': '...', 'weight': 0.2}].", "FQ253"
            ) from error
    found = []
    for entry in filter(None, text.split(",")):
        folder, _, weight = entry.rpartition(":")
        try:
            found.append(SetConfig(folder or weight, float(weight) if folder else 1.0))
        except ValueError as error:
            raise UserError(f'"{weight}" is no weight.', "Write FOLDER:WEIGHT.", "FQ253") from error
    return tuple(found)
