"""Expressions: a library of whole-face expressions in ARKit's weights, and random ones drawn from it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facequery.synthesis.chance import pick

# Plausible faces: ARKit name without Left / Right -> weight at full strength. Both sides get it, then asymmetry.
LIBRARY: dict[str, dict[str, float]] = {
    "smile_closed": {"mouthSmile": 0.7, "cheekSquint": 0.5, "eyeSquint": 0.3, "mouthDimple": 0.3, "mouthPress": 0.2},
    "smile": {
        "mouthSmile": 0.75, "cheekSquint": 0.6, "eyeSquint": 0.4, "mouthUpperUp": 0.5, "mouthLowerDown": 0.45,
        "jawOpen": 0.06,
    },
    "grin": {
        "mouthSmile": 0.95, "cheekSquint": 0.9, "eyeSquint": 0.6, "mouthUpperUp": 0.8, "mouthLowerDown": 0.8,
        "jawOpen": 0.06, "mouthStretch": 0.3,
    },
    "laugh": {
        "mouthSmile": 0.9, "cheekSquint": 1.0, "eyeSquint": 0.7, "jawOpen": 0.3, "mouthUpperUp": 0.8,
        "mouthLowerDown": 0.6, "eyeBlink": 0.2,
    },
    "beam": {
        "mouthSmile": 1.0, "cheekSquint": 0.8, "eyeSquint": 0.5, "jawOpen": 0.16, "mouthUpperUp": 0.7,
        "mouthLowerDown": 0.3, "mouthStretch": 0.2,
    },
    "roar": {
        "jawOpen": 0.75, "mouthSmile": 0.5, "mouthUpperUp": 0.6, "cheekSquint": 0.8, "eyeSquint": 0.7,
        "browDown": 0.3,
    },
    "talk_a": {"jawOpen": 0.4, "mouthLowerDown": 0.2},
    "talk_e": {"jawOpen": 0.15, "mouthStretch": 0.4, "mouthUpperUp": 0.25, "mouthLowerDown": 0.35},
    "talk_o": {"jawOpen": 0.3, "mouthFunnel": 0.7},
    "talk_u": {"jawOpen": 0.1, "mouthPucker": 0.6, "mouthFunnel": 0.3},
    "talk_m": {"mouthClose": 0.05, "mouthPress": 0.5, "mouthRollLower": 0.4, "mouthRollUpper": 0.3},
    "talk_f": {"jawOpen": 0.08, "mouthRollLower": 0.6, "mouthUpperUp": 0.4},
    "talk_s": {"mouthStretch": 0.3, "mouthLowerDown": 0.5, "mouthUpperUp": 0.3, "jawOpen": 0.04},
    "shout": {"jawOpen": 0.85, "mouthStretch": 0.4, "mouthLowerDown": 0.4, "browDown": 0.3, "noseSneer": 0.3},
    "surprise": {"jawOpen": 0.5, "browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.8, "mouthFunnel": 0.2},
    "interest": {"browInnerUp": 0.6, "browOuterUp": 0.5, "eyeWide": 0.3},
    "anger": {
        "browDown": 0.9, "noseSneer": 0.5, "mouthPress": 0.5, "eyeSquint": 0.4, "mouthFrown": 0.4, "jawForward": 0.2,
    },
    "snarl": {
        "browDown": 0.8, "noseSneer": 0.9, "mouthUpperUp": 0.8, "mouthStretch": 0.3, "jawOpen": 0.15,
        "mouthLowerDown": 0.4,
    },
    "disgust": {"noseSneer": 0.8, "mouthUpperUp": 0.5, "browDown": 0.5, "cheekSquint": 0.5, "mouthFrown": 0.3},
    "sad": {"browInnerUp": 0.8, "mouthFrown": 0.7, "mouthShrugLower": 0.4, "eyeSquint": 0.2, "eyeBlink": 0.1},
    "fear": {"browInnerUp": 0.8, "eyeWide": 0.7, "mouthStretch": 0.7, "jawOpen": 0.2},
    "pain": {
        "browDown": 0.7, "eyeSquint": 1.0, "cheekSquint": 0.8, "mouthStretch": 0.5, "jawOpen": 0.15,
        "mouthUpperUp": 0.4, "eyeBlink": 0.5,
    },
    "blink": {"eyeBlink": 1.0},
    "half_blink": {"eyeBlink": 0.5},
    "squint": {"eyeSquint": 0.9, "browDown": 0.4},
    "wide": {"eyeWide": 0.9, "browInnerUp": 0.3},
    "pucker": {"mouthPucker": 0.9},
    "kiss": {"mouthPucker": 0.7, "mouthFunnel": 0.4, "eyeBlink": 0.7},
    "roll": {"mouthRollLower": 0.7, "mouthRollUpper": 0.7, "mouthPress": 0.3},
    "puff": {"cheekPuff": 0.9, "mouthPress": 0.3},
    "doubt": {"mouthShrugLower": 0.6, "mouthShrugUpper": 0.4, "mouthFrown": 0.3, "browInnerUp": 0.4},
    "chew_left": {"jawLeft": 0.5, "jawOpen": 0.1, "mouthLeft": 0.3},
    "chew_right": {"jawRight": 0.5, "jawOpen": 0.1, "mouthRight": 0.3},
    "jaw_forward": {"jawForward": 0.8, "mouthShrugLower": 0.3},
    "smirk": {"mouthSmile": 0.6, "mouthDimple": 0.5},
    "tongue": {"tongueOut": 1.0, "jawOpen": 0.5, "mouthLowerDown": 0.7},
    "yawn": {"jawOpen": 0.95, "eyeBlink": 0.8, "eyeSquint": 0.5, "browInnerUp": 0.3},
}  # fmt: skip
# How often each is drawn; what faces in pictures mostly do comes first.
_FREQUENT = {
    "smile": 8.0,
    "smile_closed": 4.0,
    "grin": 6.0,
    "beam": 7.0,
    "laugh": 4.0,
    "surprise": 2.0,
    "interest": 2.5,
    "talk_a": 2.0,
    "talk_e": 2.0,
    "talk_s": 2.0,
}
_GAZE = ("eyeLookDown", "eyeLookUp", "eyeLookIn", "eyeLookOut")


class ExpressionSampler:
    """Draws ARKit weights for the given names (52): the library, mixtures, single sliders, asymmetry, gaze, blinks."""

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self._index = {name: i for i, name in enumerate(self.names)}
        self._faces = np.stack([self._row(face) for face in LIBRARY.values()])
        weights = np.array([_FREQUENT.get(name, 1.0) for name in LIBRARY])
        self._odds = (weights / weights.sum()).tolist()
        self._sliders = [i for i, name in enumerate(self.names) if not name.startswith("eyeLook")]

    def _row(self, face: dict[str, float]) -> NDArray[np.float32]:
        row = np.zeros(len(self.names), np.float32)
        for name, weight in face.items():
            for full in (name, name + "Left", name + "Right"):
                if full in self._index:
                    row[self._index[full]] = weight
        return row

    def named(self, name: str, strength: float = 1.0) -> NDArray[np.float32]:
        """One face of the library, (52,)."""
        return self._faces[list(LIBRARY).index(name)] * np.float32(strength)

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Weights (52,) in [0, 1]. About a sixth are nearly neutral, most are mild, some are strong."""
        weights = np.zeros(len(self.names), np.float32)
        kind = rng.random()
        if kind > 0.16:
            strength = float(rng.beta(2.2, 1.6)) * 1.1
            weights += strength * self._faces[pick(rng, range(len(self._faces)), self._odds)]
        if kind > 0.65:
            weights += rng.uniform(0.1, 0.7) * self._faces[pick(rng, range(len(self._faces)), self._odds)]
        for _ in range(rng.poisson(1.8)):
            weights[pick(rng, self._sliders)] += rng.beta(1.2, 2.0)
        if rng.random() < 0.25:  # one side does less
            side = "Left" if rng.random() < 0.5 else "Right"
            factor = rng.uniform(0.1, 0.8)
            for i, name in enumerate(self.names):
                if name.endswith(side) and not name.startswith(("jaw", "eyeBlink", "eyeLook")):
                    weights[i] *= factor
        weights *= rng.uniform(0.85, 1.15, len(weights)).astype(np.float32)
        self._tame(weights)
        self.set_gaze(weights, rng.normal(0, 14), rng.normal(-2, 9))
        if rng.random() < 0.06:  # a blink over whatever it was
            closed = rng.uniform(0.3, 1.0)
            for name in ("eyeBlinkLeft", "eyeBlinkRight"):
                weights[self._index[name]] = max(weights[self._index[name]], closed * rng.uniform(0.9, 1.0))
        return np.clip(weights, 0, 1)

    def _tame(self, weights: NDArray) -> None:
        """Keeps sums in the range in which the shapes were made: lids do not pass each other, lips stay outside."""
        at = self._index
        for side in ("Left", "Right"):
            blink, squint, wide = (at[f"eye{k}{side}"] for k in ("Blink", "Squint", "Wide"))
            weights[wide] *= max(0.0, 1.0 - 2 * weights[blink])
            if weights[blink] > 0.6:
                weights[squint] = min(weights[squint], 1.2 - weights[blink])
        closers = sum(weights[at[k]] for k in ("mouthRollLower", "mouthRollUpper", "mouthClose"))
        if weights[at["jawOpen"]] > 0.25 and closers > 0.3:
            for k in ("mouthRollLower", "mouthRollUpper", "mouthClose"):
                weights[at[k]] *= 0.3
        # Half out, the tongue would run through the lower lip: it stays behind the teeth or comes out over the lip.
        tongue = at["tongueOut"]
        if weights[tongue] > 0.5:
            weights[tongue] = max(weights[tongue], 0.9)
            weights[at["jawOpen"]] = max(weights[at["jawOpen"]], 0.4)
            for side in ("Left", "Right"):
                weights[at[f"mouthLowerDown{side}"]] = max(weights[at[f"mouthLowerDown{side}"]], 0.6)
        else:
            weights[tongue] = min(weights[tongue], 0.25, 0.6 * weights[at["jawOpen"]])
        # mouthClose lifts the lips by as much as jawOpen lowers them: more would cross them.
        weights[at["mouthClose"]] = min(weights[at["mouthClose"]], 0.9 * weights[at["jawOpen"]])

    def creases(self, weights: NDArray) -> NDArray[np.float32]:
        """How far an expression creases the skin (4,), 0..1: forehead, between brows, round the eyes, smile lines."""

        def most(*names: str) -> float:
            return max(float(weights[self._index[name]]) for name in names)

        brow = max(most("browInnerUp"), 0.8 * most("browOuterUpLeft", "browOuterUpRight"))
        eyes = most("cheekSquintLeft", "cheekSquintRight", "eyeSquintLeft", "eyeSquintRight")
        smile = most("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft")
        return np.array([brow, most("browDownLeft", "browDownRight"), eyes, smile], np.float32).clip(0, 1)

    def set_gaze(self, weights: NDArray, yaw: float, pitch: float) -> None:
        """Gaze as look weights (lids follow): yaw to the subject's left, pitch up, degrees, about 30 at weight 1."""
        at = self._index
        for side, sign in (("Left", 1.0), ("Right", -1.0)):
            outwards, up = sign * yaw / 30, pitch / 28
            for name, value in zip(_GAZE, (-up, up, -outwards, outwards), strict=True):
                weights[at[name + side]] = min(max(value, 0.0), 1.0)
