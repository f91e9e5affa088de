"""Render scenes in memory to loudspeakers and to headphones, with names in place of objects."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import Float32
from numpy import ndarray

from render.headphones import renderer as headphones
from render.headphones.renderer import HeadphoneRendering
from render.hoa.layout import layout as layout_of
from render.hoa.scene import Feed, Scene
from render.loudspeakers.renderer import decode


def render(scene: Scene, layout: str, decoder: str = "adm") -> Feed:
    """Decode a scene to loudspeakers.

    Parameters
    ----------
    scene : Scene
    layout : str
        ``7.1.4``, ``4+7+0``, ``5.1``, ``stereo``, ... or the path of a ``.toml`` or
        ``.json`` file of loudspeaker positions.
    decoder : str
        ``adm`` (ITU-R BS.2127), ``maxre``, ``pareto``, ``dual``, ``allrad``, ``epad``, ``mode-matching`` or
        ``sampling``; docs/render.md compares them.

    Returns
    -------
    Feed
        In the channel order of BS.2051; `Feed.layout` names the channels.

    Raises
    ------
    InputError
        If there is no such layout or decoder; the message lists them.

    Examples
    --------
    >>> import numpy as np
    >>> feed = render(Scene.from_array(np.zeros((16, 480)), 48000), "7.1.4")
    >>> feed.samples.shape, feed.layout.labels[:2]
    ((12, 480), ('M+030', 'M-030'))
    """
    return decode(scene, layout_of(layout), decoder)


def binaural(
    scene: Scene,
    sofa: Path | str | None = None,
    yaw_deg: float = 0.0,
    via: str | None = None,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
    trajectory: Path | str | None = None,
) -> Float32[ndarray, "ear time"]:
    """Render a scene to headphones, left ear first.

    Parameters
    ----------
    scene : Scene
    sofa : Path, optional
        SOFA file of head-related impulse responses; without it the head is a rigid sphere.
    yaw_deg : float
        Angle by which the head is turned to the left.
    via : str, optional
        Layout of virtual loudspeakers that the head hears, such as ``7.1.4``; without it the channels of the scene
        are filtered directly.
    pitch_deg, roll_deg : float
        Angles by which it is raised, and tilted to the right shoulder.
    trajectory : Path, optional
        CSV file of its orientations over time, with the columns time_s, yaw_deg, pitch_deg, roll_deg.

    Raises
    ------
    InputError
        If the SOFA file cannot be read or does not determine the order, or there is no such layout.

    Examples
    --------
    >>> import numpy as np
    >>> binaural(Scene.from_array(np.zeros((16, 480)), 48000)).shape
    (2, 480)
    """
    heard = layout_of(via) if via else None
    turns = pitch_deg, roll_deg, Path(trajectory) if trajectory else None
    rendering = HeadphoneRendering(Path(sofa) if sofa else None, yaw_deg, heard, "adm", *turns)
    return headphones.binaural(scene, rendering)
