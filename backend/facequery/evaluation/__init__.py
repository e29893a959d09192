"""Measuring the detector: photographs with points set by hand, renders with exact truth, clips that move.

Everything here asks the networks the way a shot does (`facequery.detection`), so that what is measured is what ships.
"""
