"""What a user may set about a fit. Every number is a standard deviation or a count in the unit its comment names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSettings:
    """Settings of `fit_shot`. The defaults suit a talking face at 24-30 frames a second.

    Temporal terms are second differences, so they have no lag; their scales are accelerations per frame squared at 25
    frames a second, those of a head at rest, and are rescaled to the shot's own rate. Greater ones are believed: the
    terms are Cauchy's, which hold still what rests and let go what moves.
    """

    # camera (only where it is not given)
    pixel_aspect: float = 1.0  # width of a pixel over its height, for a camera that is estimated
    focal_guess: float = 1.3  # prior focal length in units of the longer side of the picture
    focal_prior: float = 0.7  # standard deviation of the logarithm of the focal length about that guess
    # landmarks
    robust: float = 4.0  # Geman-McClure threshold in standard deviations
    sigma_floor: float = 0.05  # px: no landmark is trusted more than this
    visible_floor: float = 0.15  # weight of a landmark that is surely hidden; its sigma says the rest
    correlation: float = 0.1  # share of a landmark's error that its neighbours in space and time have in common
    silhouette: int = (
        0  # 1: the layout's contour was put on the outline in the picture, as people and other trackers do
    )
    common_errors: int = 0  # 1: what landmarks get wrong together all through the shot is solved for
    # priors
    identity_prior: float = 1.0  # standard deviation of an identity coefficient
    shape_spread: float = 0.0015  # metres, root mean square: smooth shape beyond the identity basis; 0: none
    expression_mean: float = 0.3  # mean of the exponential prior that keeps expressions sparse
    expression_spread: float = 0.7  # standard deviation of the quadratic prior on top of it
    gaze_prior: float = 0.07  # radians: eyes against what the eyeLook weights say
    # smoothness
    rotation_jerk: float = 0.002  # radians
    translation_jerk: float = 0.001  # metres
    expression_jerk: float = 0.03
    gaze_jerk: float = 0.03  # radians
    # work
    iterations: int = 12  # at most, over all frames
    key_frames: int = 32  # frames on which camera and identity are found first
