"""Give the dead units of landmark weights new ones, for training to go on with; see `facequery.training.revive`.

    python -m tools.revive IN.safetensors OUT.safetensors [--pictures 48] [--last-stage]

--last-stage begins anew with the encoder's blocks of stride 32, from the ImageNet weights.
"""  # fmt: skip

import argparse
from pathlib import Path

import torch
from facequery.assets import source_data
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.models.mobilenet_v2 import MobileNetV2
from facequery.models.weights import load_landmark_net, save_weights
from facequery.training.configs import config_by_name
from facequery.training.landmark_task import IMAGENET
from facequery.training.revive import renew_last_stage, revive
from facequery.training.sources import learner_mix, make_mix
from facequery.training.stream import DirectStream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--last-stage", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(1)
    network, card = load_landmark_net(options.weights)
    stream = DirectStream(make_mix(*learner_mix(config_by_name("default")), True), 1)
    images = torch.from_numpy(stream.batch(0, options.pictures).images)
    queries = torch.from_numpy(load_layout("ibug68").positions * HeadModel.load().scale).float()
    if options.last_stage:
        fresh = MobileNetV2()
        fresh.load_imagenet(source_data(IMAGENET))
        renew_last_stage(network, images, fresh)
    for name, (dead, all_units) in revive(network, images, queries).items():
        if dead:
            print(f"{name}: {dead} of {all_units}")
    save_weights(options.out, network.state_dict(), card)


if __name__ == "__main__":
    main()
