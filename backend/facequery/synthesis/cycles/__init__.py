"""Renderer B: the same scenes, path traced by Blender's Cycles, for the sample shot and the held-out test sets.

The held-out set that figures are given on (about 10 s of one core a picture; stop and start it as you like):

    python -m facequery.synthesis.cycles --out DIR --count 200 --split heldout --size 512 --seed 0 --samples 24

It is read with `dataset.CyclesSet`, which gives pixels, depth and visibility of any queries, and its `landmarks.json`
is read by `facequery eval`.

Held-out clips with one or several cameras, for fits and for stability, are made by

    python -m facequery.synthesis.cycles --out DIR --clips 4 --frames 16 --views 3 --split heldout --samples 4

and read with `clips.open_clips`, which gives every camera's plates, `truth.SampleTruth` and visibility. The sample shot
is made by `python -m tools.make_sample` and read with `truth.SampleTruth`.

Everything but `blender_*.py` is plain NumPy. Those two files are the only backend code that imports bpy, and they run
in a process of their own, so that a crash or a hang of Cycles never takes the caller with it.
"""
