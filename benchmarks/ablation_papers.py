"""What the papers say where benchmarks.ablations has a table, and what cannot be compared with ours."""

from dataclasses import dataclass

SOURCES = (
    "CLD: Chandran, Zoss, Gotardo, Bradley, CVPR 2023. Inf3D: the same authors, Computer Graphics Forum 2024 "
    "(arXiv 2405.20117). Dense520: Basak et al. 2023 (arXiv 2308.15170). Beside each table stands what the paper "
    "finds, in words: its numbers come from other data, other test sets and full trainings, so that only the "
    "direction of a difference may be compared, and no copy of its tables was at hand that could be quoted with "
    "certainty."
)


@dataclass(frozen=True)
class Paper:
    """`source`: where in which paper; `says`: what it does and finds; `apart`: why ours is not comparable."""

    title: str
    source: str
    says: str
    apart: str


PAPERS = {
    "predictor": Paper(
        "Predictor", "CLD, section 3.2",
        "both are offered; the transformer sees the whole set of queries, the MLP each alone.",
        "theirs trains on annotated photographs, to the end.",
    ),
    "likelihood": Paper(
        "Loss", "CLD, section 3.3",
        "mean and sigma are trained jointly by the Gaussian likelihood; there is no table of other losses.",
        "the detached forms are ours.",
    ),
    "space": Paper(
        "Canonical space", "CLD, section 3.2",
        "queries may be 3D positions or UV coordinates; 3D is what reaches points off the skin.",
        "both rows are asked for points of the skin alone, which is all that UV has.",
    ),
    "data": Paper(
        "Queries of the training data", "CLD, figure 6",
        "interpolation between sparse landmarks works, extrapolation from them to the dense face does not.",
        "theirs mixes real sparse sets with synthetic dense ones; here the same renders are labelled sparsely "
        "(ibug68), densely (no layout's points), or with all. `render68` is asked of points that the dense row never "
        "saw, `render_dense` of points that the sparse row never saw, forehead and cheeks among them.",
    ),
    "refine": Paper(
        "Local refinement", "no paper",
        "none of the three has it: landmarks sample feature maps at the first answer and correct themselves.",
        "it is ours.",
    ),
    "inf3d": Paper(
        "Spatial transformer, 3D head, semantic correction", "Inf3D, abstract and section 4",
        "each of the three raises accuracy and temporal stability over the plain detector.",
        "our rows with the transformer see regions with the face anywhere, at any roll, on photographs a square of 1.6 "
        "times the annotation's crop; the others see crops by the true points with a finder's jitter, which is much "
        "easier. The localiser of these rows has made the quick start of parts.md (64,000 samples of 96 px, landmarks "
        "alone), which is not in their count. 60 % renders, 40 % portraits with pseudo-labels.",
    ),
    "augmentation": Paper(
        "Augmentation", "CLD, table 4",
        "none, colour, affine and both are compared.",
        "theirs augments photographs; ours 3,000 fixed renders without camera faults, seen about "
        "once, and the test photographs are another domain altogether.",
    ),
    "dense520": Paper(
        "Dense520: loss and backbone", "Dense520, section 4",
        "1.5 Wing + 0.5 MSE; MobileNetV2 beats many larger methods (abstract), and is compared with both ResNets.",
        "theirs trains on 300W-LP and is scored on AFLW2000-3D; ours trains on renders from random "
        "weights and its box-normalised errors are on **renders** of held-out people; only the inner 51 of the 68 are "
        "on photographs.",
    ),
    "encoder": Paper(
        "Image encoder and its head", "CLD, section 3.1",
        "ConvNeXt and MobileNetV3, replaceable.",
        "theirs start from ImageNet; here all rows but the first begin from random weights, which favours small "
        "networks, and equal samples are no equal time.",
    ),
}  # fmt: skip
