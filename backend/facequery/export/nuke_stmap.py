"""Nuke: the set-up that reads a job's ST maps: unwrap the plate, paint, put it back.

Read nodes of the plate, of uv-to-pixel and of pixel-to-uv; an STMap that unwraps the plate into the head's atlas (paint
after it); an STMap that puts the result back; a Merge over the plate. The maps' convention is that of Nuke's STMap:
[0, 1] from the lower left corner, pixel centres at half pixels, distorted as filmed. Frames: the numbers in the file
names. The maps are the ones that `facequery stmap JOB` wrote to JOB/stmap, by their absolute paths.
"""

from pathlib import Path

from facequery.errors import UserError
from facequery.export.files import write_text
from facequery.export.nuke_script import header, node, quoted
from facequery.export.source import Source


def write(source: Source, path: Path) -> list[Path]:
    """Write the .nk. Raises UserError when the job has no ST maps, or only one direction of them."""
    folder = (source.folder or path.parent) / "stmap"
    files = {}
    for kind in ("uv-to-pixel", "pixel-to-uv"):
        if not any(folder.glob(f"{kind}.*.exr")):
            raise UserError(f'The job has no "{kind}" maps.', "Write them first: facequery stmap JOB.", "FQ522")
        files[kind] = (folder.resolve() / f"{kind}.####.exr").as_posix()
    first, last = int(source.frames[0]), int(source.frames[-1])
    span = [f"first {first}", f"last {last}", f"origfirst {first}", f"origlast {last}", "origset true"]

    def read(file: str, name: str, raw: bool) -> str:
        knobs = ["inputs 0", f"file {quoted(file)}", *span, f"name {name}"]
        return node("Read", knobs + (["raw true"] if raw else []))

    text = header(first, last, source.fps, source.width, source.height, source.pixel_aspect)
    # The top of Nuke's stack is a node's first input: STMap's is the source, Merge's the background.
    text += read(source.plate, "Plate", False) + "set Plate [stack 0]\n"
    text += read(files["uv-to-pixel"], "UvToPixel", True) + "push $Plate\n"
    text += node("STMap", ["inputs 2", "channels rgba", "uv rgba", "filter Cubic", "name Unwrap"])
    text += node("Dot", ["name Paint_here", 'label "paint on the atlas here"']) + "set Painted [stack 0]\n"
    text += read(files["pixel-to-uv"], "PixelToUv", True) + "push $Painted\n"
    text += node("STMap", ["inputs 2", "channels rgba", "uv rgba", "filter Cubic", "name PutBack"])
    text += "push $Plate\n" + node("Merge2", ["inputs 2", "operation over", "name OverPlate"])
    write_text(path, text)
    return [path]
