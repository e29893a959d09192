"""What the papers say where benchmarks.ablations has a table: their words in short, their figures, and what cannot be
compared with ours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """`source`: where in which paper; `says`: its result in words; `figures`: a Markdown table of its numbers, if it
    has one; `apart`: why ours is not comparable."""

    title: str
    source: str
    says: str
    apart: str
    figures: tuple[str, ...] = ()


PAPERS = {
    "predictor": Paper(
        "Predictor", "CLD, section 3.2",
        "both are offered; the transformer sees the whole set of queries, the MLP each alone.",
        "theirs trains for days on annotated photographs with ConvNeXt.",
    ),
    "encoder": Paper(
        "Image encoder and its head", "CLD, section 3.1",
        "ConvNeXt and MobileNetV3.",
        "theirs start from ImageNet; here all rows but the first begin from random weights, which favours small "
        "networks, and equal samples are no equal time.",
    ),
    "likelihood": Paper(
        "Loss", "CLD, section 3.3",
        "mean and sigma are trained jointly by the Gaussian likelihood; there is no table of other losses.",
        "the detached forms are ours.",
    ),
    "space": Paper(
        "Canonical space", "CLD, section 3.2",
        "queries may be 3D positions or UV coordinates.",
        "UV holds the skin alone, so its dense error leaves out what is not skin.",
    ),
    "augmentation": Paper(
        "Augmentation", "CLD, table 4",
        "none, colour, affine and both are compared.",
        "theirs augments photographs; ours 3,000 fixed renders without camera faults, seen about twice, and the test "
        "photographs are another domain altogether.",
    ),
    "data": Paper(
        "Queries of the training data", "CLD, figure 6",
        "interpolation between sparse landmarks works, extrapolation from them to the dense face does not.",
        "theirs mixes real sparse sets with synthetic dense ones; here the same renders are labelled sparsely "
        "(ibug68), densely (no layout's points), or both.",
    ),
    "refine": Paper(
        "Local refinement", "no paper",
        "none of the three has it: landmarks sample a feature map at the first answer and correct themselves.",
        "it is ours.",
    ),
    "inf3d": Paper(
        "Spatial transformer, 3D head, semantic correction", "Inf3D, section 4",
        "better accuracy and steadiness with them.",
        "our rows with the transformer see regions with the face anywhere, at any roll, on photographs a square of 1.6 "
        "times the annotation's crop; the others see crops by the true points with a finder's jitter, which is "
        "easier. 60 % renders, 40 % portraits with pseudo-labels.",
    ),
    "dense520": Paper(
        "Dense520: loss and backbone", "Dense520, section 4",
        "1.5 Wing + 0.5 MSE; MobileNetV2, ResNet-18 and ResNet-50.",
        "theirs trains on 300W-LP for many epochs and is scored on AFLW2000-3D; ours trains on renders from random "
        "weights and its box-normalised errors are on **renders** of held-out people; only the inner 51 of the 68 are "
        "on photographs.",
    ),
}  # fmt: skip
