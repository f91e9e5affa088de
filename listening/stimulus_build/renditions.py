"""What all conditions share: the excerpt that they are applied to, and the stimulus that comes of it.

The key of every stimulus covers this module and what it imports (`cache_key`), so an edit here makes all audio
again. Keep measurements, figures and individual conditions out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float32
from numpy import ndarray

from listening.conditions.condition import Condition, Rendition
from listening.conditions.foreground import encode_objects, mixed
from listening.test_design.foreground_object import ForegroundObject
from render.common.files import sha256, whole_file
from render.fileio.audio_file import write_scene
from render.hoa.scene import Scene
from stimuli.excerpts.window import Window, apply_fades, read_with_rolls, without_rolls


@dataclass(frozen=True, eq=False)
class Excerpt:
    """What the conditions of an item are applied to.

    Attributes
    ----------
    scene : Scene
        The excerpt with its rolls before and after it.
    objects : float32 (acn, time) or None
        Its foreground objects, encoded as plane waves; None if it has none.
    window : Window
        Where the excerpt lies in the recording, and how long its rolls are.
    """

    scene: Scene
    objects: Float32[ndarray, "acn time"] | None
    window: Window


def read_excerpt(path: Path, window: Window, objects: tuple[ForegroundObject, ...]) -> Excerpt:
    """Read an excerpt with its rolls and encode its foreground objects."""
    scene = read_with_rolls(path, window)
    return Excerpt(scene, encode_objects(objects, scene, window.roll), window)


def apply_condition(condition: Condition, excerpt: Excerpt) -> tuple[Scene, Rendition]:
    """Apply a condition to an excerpt.

    Returns
    -------
    stimulus : Scene
        What is heard: the rendition with the foreground objects, without rolls, faded in and out.
    rendition : Rendition
        What the condition made, rolls included.
    """
    if condition.applies_to_mixture:
        rendition = condition.apply(mixed(excerpt.scene, excerpt.objects))
        scene = rendition.scene
    else:
        rendition = condition.apply(excerpt.scene)
        scene = mixed(rendition.scene, excerpt.objects)
    return apply_fades(without_rolls(scene, excerpt.window)), rendition


def write_stimulus(path: Path, stimulus: Scene, rendition: Rendition) -> dict[str, str]:
    """Write a stimulus and, beside it, its payload if it has one; return the SHA-256 of each file by its name."""
    write_scene(path, stimulus, force=True)
    digests = {path.name: sha256(path)}
    if rendition.payload is not None:
        payload = path.with_name(path.stem + rendition.suffix)
        with whole_file(payload, force=True) as temporary:
            temporary.write_bytes(rendition.payload)
        digests[payload.name] = sha256(payload)
    return digests
