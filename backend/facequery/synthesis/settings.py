"""What renders may contain, and how often: one dataclass, so that a run can be described in its configuration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampleSettings:
    """Probabilities and ranges of everything drawn for a picture; plain values, so that it pickles."""

    # Head
    identity_spread: float = 1.0  # standard deviation of identity coefficients
    off_basis: float = 0.0  # metres RMS of a smooth random shape that no basis holds (held-out sets: 0.0015)
    off_basis_shapes: int = 8  # how many such shapes there are; no two splits share one
    features: float = 0.0  # how far brows and lips leave the basis too; 1: as far as in photographs
    neutral: float = 0.0  # extra share of neutral expressions
    portrait_skins: float = 0.0  # share of heads with a skin baked from a portrait, where there are such skins
    portrait_folder: str = ".cache/portrait_skins"  # by tools/portrait_skins.py; read by the split "train"

    # Pose, degrees
    yaw_wide: float = 0.45  # share of yaws drawn evenly from +-yaw_limit, the rest is normal with yaw_spread
    yaw_spread: float = 22.0
    yaw_limit: float = 90.0
    pitch_spread: float = 13.0
    pitch_limit: float = 40.0
    roll_spread: float = 6.0  # the crop removes roll; this tilts gravity, hair and light

    # Camera
    nearest: float = 0.22  # metres; helmet cameras
    farthest: float = 5.0
    helmet: float = 0.06  # share of helmet-camera close-ups: wide lens, near, from below
    off_axis: float = 12.0  # degrees of the head's direction off the optical axis, one standard deviation

    # Crop, relative to crop_from_points of the true points
    crop_scale: float = 0.12  # standard deviation of log scale
    crop_shift: float = 0.08  # of the half-size
    crop_turn: float = 12.0  # degrees
    crop_tail: float = 0.08  # share with three times the jitter

    # On the head
    hair: float = 0.85  # share with any hair; the rest is bald or shaved
    wig: float = 0.26  # of those: a lofted sheet of hair of any length
    hair_mesh: float = 0.5  # of the others: a hair mesh, else a cap
    lashes: float = 0.75
    hat: float = 0.08
    beard: float = 0.16
    stubble: float = 0.2
    glasses: float = 0.18
    sunglasses: float = 0.25  # of the glasses
    makeup: float = 0.3
    tracking_dots: float = 0.04
    face_mask: float = 0.015  # a cloth over mouth and nose

    # In front
    occluder: float = 0.17  # hand, stick, plate
    at_mouth: float = 0.4  # of the occluders: over mouth or chin, as hands, cups and microphones mostly are
    hand: float = 0.5  # of the occluders

    # Picture
    lamps: float = 1.4  # mean number of lamps beside the environment
    shadow: float = 0.6  # share of first lamps that cast shadows
    side_light: float = 0.07  # one hard lamp from the side and hardly any other light: half a face in the dark
    gray: float = 0.06
    jpeg: float = 0.5
    low_resolution: float = 0.45  # enlarged from 0.3 to 0.95 of the size, as crops of small faces are
    blur: float = 0.15
    motion_blur: float = 0.08
    depth_of_field: float = 0.08
    noise: float = 0.6
    border: float = 0.04
    vignette: float = 0.2
