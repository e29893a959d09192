"""The sources of a run, from its configuration."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.assets import checkout_path
from facequery.head.model import HeadModel
from facequery.head.query_space import QuerySpace
from facequery.training.configs import DataConfig, TrainConfig
from facequery.training.examples import FIRST_SET, ClipSource, Mix, Source


def dataset_names(data: DataConfig) -> list[str]:
    """Names of the data sets by their numbers; the first is the reference of the semantic correction."""
    return ["renders", "portraits", *(Path(s.folder).name for s in data.sets)]


def shares_and_frames(data: DataConfig) -> tuple[list[float], list[int]]:
    """Share of each source in a batch and how many frames one draw of it gives, in the order of `make_mix`."""
    rows = [(data.renders, 1), (data.portraits, 1), (data.render_clips, data.clip_frames)]
    rows += [(data.portrait_clips, data.clip_frames)]
    rows += [(s.weight, data.clip_frames if s.clips else 1) for s in data.sets]
    rows = [row for row in rows if row[0] > 0]
    total = sum(share for share, _ in rows)
    return [share / total for share, _ in rows], [frames for _, frames in rows]


def make_mix(data: DataConfig, size: int, dims: int = 3, region: bool = False, alone: bool = False) -> Mix:
    """The sources of a run with their weights, for pictures of `size` pixels and queries of `dims` dimensions. Called
    in every process that makes images. `region`: faces anywhere in the picture. `alone`: every example is made by
    itself, so that it depends on its own random state and not on those before it, as bit-identical runs need."""
    from facequery.training.readers import PortraitReader, open_set
    from facequery.training.set_sources import SetSource, StillClipSource

    space = QuerySpace(HeadModel.load(), dims)
    sources: list[tuple[Source | ClipSource, float]] = []
    if data.renders > 0 or data.render_clips > 0:
        from facequery.training.renders import RenderedClipSource, RenderSource

        if data.renders > 0:
            together = {"together": 1} if alone else {}
            sources.append((RenderSource(size, data, dims, region, **together), data.renders))
    if data.portraits > 0 or data.portrait_clips > 0:
        labels = checkout_path(data.portrait_labels)
        portraits = PortraitReader(labels, layout_positions("mediapipe478"), space, data.rare)
        if data.portraits > 0:
            sources.append((SetSource(portraits, size, data, region), data.portraits))
    if data.render_clips > 0:
        sources.append((RenderedClipSource(size, data, dims), data.render_clips))
    if data.portrait_clips > 0:
        sources.append((StillClipSource(portraits, size, data, data.clip_frames, region), data.portrait_clips))
    for number, entry in enumerate(data.sets, FIRST_SET):
        if entry.weight > 0:
            reader = open_set(checkout_path(entry.folder), number, space, entry.layout)
            stills = SetSource(reader, size, data, region)
            clips = StillClipSource(reader, size, data, data.clip_frames, region)
            sources.append((clips if entry.clips else stills, entry.weight))
    return Mix([source for source, _ in sources], [weight for _, weight in sources])


def learner_mix(config: TrainConfig) -> tuple[DataConfig, int, int, bool]:
    """The arguments of `make_mix` for a run."""
    return config.data, config.model.picture, config.model.query_dims, config.model.spatial


def maker_processes(config: TrainConfig) -> int:
    """How many processes make images: as configured, or one for each core of this machine that does not train, shared
    among the training processes on it."""
    if config.data.processes:
        return config.data.processes
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    trainers = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(1, cores // trainers - config.threads)


def layout_positions(name: str) -> NDArray[np.float32]:
    """(N, 3) positions of a layout, canonical metres."""
    from facequery.head.layouts import load_layout

    return np.asarray(load_layout(name).positions, np.float32)
