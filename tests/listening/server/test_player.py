"""The page's player: its reader of WAV files against libsndfile, its switching against the twin in NumPy."""

import base64
import io
import struct

import numpy as np
import pytest
import soundfile

from listening.native_player import switching
from render.hoa.layout import file_order, layout

RATE_HZ = 48_000
FADE = 240

SWITCH = """async ({rate, stimuli, items, frames, channels, schedule, blocks, map}) => {
  const {Switcher} = await import("./static/switching.js");
  const bytes = Uint8Array.from(atob(stimuli), (letter) => letter.charCodeAt(0));
  const samples = new Float32Array(bytes.buffer);
  const channel = (number) => samples.subarray(number * frames, (number + 1) * frames);
  const part = (at) => Array.from({length: channels}, (_, c) => channel(at * channels + c));
  const item = (number) => new Map([0, 1, 2].map((slot) => [slot, part(3 * number + slot)]));
  const switcher = new Switcher(rate);
  switcher.setMap(map);
  switcher.use(item(0));
  const output = Array.from({length: map.length}, () => new Float32Array(128 * blocks));
  const block = Array.from({length: map.length}, () => new Float32Array(128));
  for (let number = 0; number < blocks; number++) {
    for (const [at, name, argument] of schedule) {
      if (at !== number) continue;
      if (name === "use") switcher.use(item(argument));
      else if (name === "play") switcher.play(...argument);
      else switcher[name](argument);
    }
    switcher.process(block, 128);
    block.forEach((channel, device) => output[device].set(channel, 128 * number));
  }
  const read = (blob) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(blob);
  });
  return {samples: await read(new Blob(output)), transitions: switcher.transitions};
}"""

NAMES = {"setLoop": "set_loop", "setGain": "set_gain", "setMap": "set_map"}


SHARES = {
    "play": 0.4, "playAt": 0.1, "stop": 0.1, "seek": 0.1, "setLoop": 0.1, "noLoop": 0.05, "setGain": 0.05,
    "use": 0.05, "setMap": 0.05,
}  # fmt: skip


def random_schedule(random, blocks, frames):
    """Requests at random blocks, many of them during fades, and at the ends of loops and files."""
    schedule = []
    at = 0
    while at < blocks:
        at += int(random.choice([0, 1, 2, 30, 150]))
        start = int(random.integers(frames - 24_000))
        end = int(random.integers(start + 24_000, frames + 1))
        position = int(random.choice([0, frames, frames - 100, random.integers(frames)]))
        request = random.choice(list(SHARES), p=list(SHARES.values()))
        schedule.append([at, *{
            "play": ("play", [int(random.integers(3)), None]),
            "playAt": ("play", [int(random.integers(3)), position]),
            "stop": ("stop", None),
            "seek": ("seek", position),
            "setLoop": ("setLoop", [start, end]),
            "noLoop": ("setLoop", None),
            "setGain": ("setGain", float(np.float32(10 ** (random.uniform(-4, 4) / 20)))),
            "use": ("use", int(random.integers(2))),
            "setMap": ("setMap", [int(channel) for channel in random.permutation(2)] + [None]),
        }[str(request)]])  # fmt: skip
    return schedule


def twin(stimuli, schedule, blocks, output_map):
    switcher = switching.Switcher(RATE_HZ)
    switcher.set_map(output_map)
    items = [dict(enumerate(item)) for item in stimuli]
    switcher.use(items[0])
    output = np.empty((len(output_map), 128 * blocks), np.float32)
    for number in range(blocks):
        for at, name, argument in schedule:
            if at != number:
                continue
            if name == "use":
                switcher.use(items[argument])
            elif name == "play":
                switcher.play(*argument)
            elif name == "stop":
                switcher.stop()
            else:
                getattr(switcher, NAMES.get(name, name))(argument)
        switcher.process(output[:, 128 * number : 128 * (number + 1)])
    return output, switcher.transitions


def in_page(page, stimuli, schedule, blocks, output_map):
    answer = page.evaluate(
        SWITCH,
        {
            "rate": RATE_HZ, "stimuli": base64.b64encode(stimuli.tobytes()).decode(), "items": len(stimuli),
            "frames": stimuli.shape[-1], "channels": stimuli.shape[-2], "schedule": schedule, "blocks": blocks,
            "map": output_map,
        },
    )  # fmt: skip
    samples = np.frombuffer(base64.b64decode(answer["samples"]), np.float32).reshape(len(output_map), -1)
    return samples, [switching.Transition(**transition) for transition in answer["transitions"]]


@pytest.mark.parametrize("seed", range(8))
def test_the_page_and_its_twin_in_numpy_render_equal_samples(page, seed):
    random = np.random.default_rng(seed)
    frames = int(random.integers(26_000, 60_000))
    stimuli = (random.integers(-(2**23), 2**23, (2, 3, 2, frames)) / 2**23).astype(np.float32)
    schedule = random_schedule(random, 3000, frames)
    samples, transitions = in_page(page, stimuli, schedule, 3000, [1, None, 0])
    expected, steps = twin(stimuli, schedule, 3000, [1, None, 0])
    assert transitions == steps
    assert np.count_nonzero(samples != expected) == 0
    assert {step.phase for step in steps} == {"in", "out", "silent"}
    assert np.count_nonzero(expected) > 100_000


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000, 96_000])
def test_fades_have_equal_samples_at_every_rate(page, rate_hz):
    fade = page.evaluate("async (rate) => [...(await import('./static/switching.js')).fadeIn(rate)]", rate_hz)
    assert np.array_equal(np.array(fade, np.float32), switching.fade_in(rate_hz))


READ = """async (file) => {
  const {parseWav} = await import("./static/wav.js");
  const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
  try {
    const {sampleRate, frames, channels} = parseWav(bytes.buffer);
    return {sampleRate, frames, channels: channels.map((channel) => [...channel])};
  } catch (error) {
    return {error: error.message, name: error.constructor.name};
  }
}"""


def read_in_page(page, data):
    return page.evaluate(READ, base64.b64encode(data).decode())


def wav(samples, subtype, form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples.T, RATE_HZ, subtype=subtype, format=form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("FLOAT", 32)])
@pytest.mark.parametrize("channels", [1, 2, 6, 12])
def test_samples_of_a_file_are_read_exactly(page, form, subtype, bits, channels):
    random = np.random.default_rng(channels)
    scale = 2 ** (min(bits, 24) - 1)
    integers = random.integers(-scale, scale, (channels, 500))
    integers[:, :3] = -scale, scale - 1, 0
    samples = integers / scale
    answer = read_in_page(page, wav(samples, subtype, form))
    assert (answer["sampleRate"], answer["frames"]) == (RATE_HZ, 500)
    assert np.array_equal(np.array(answer["channels"]), samples)


def fmt(code=1, channels=2, bits=16, block=None, extra=b""):
    block = channels * bits // 8 if block is None else block
    body = struct.pack("<HHIIHH", code, channels, RATE_HZ, RATE_HZ * block, block, bits) + extra
    return b"fmt " + struct.pack("<I", len(body)) + body


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


DATA = b"data" + struct.pack("<I", 8) + bytes(8)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no WAV file"),
        (b"RIFF\0\0\0\0WAVF" + bytes(40), "no WAV file"),
        (riff(), "data"),
        (riff(fmt()), "data"),
        (riff(DATA, fmt()), "before their format"),
        (riff(b"fmt \4\0\0\0abcd", DATA), "4 bytes"),
        (riff(fmt(code=2), DATA), "format 2"),
        (riff(fmt(bits=8), DATA), "8 bits"),
        (riff(fmt(code=3, bits=64), DATA), "64 bits"),
        (riff(fmt(channels=0), DATA), "0 channels"),
        (riff(fmt(block=3), DATA), "3 bytes"),
        (riff(fmt(channels=3), DATA), "whole number"),
        (riff(fmt(), b"data\0\0\0\0"), "whole number"),
        (riff(fmt(), b"data\xff\xff\xff\x7f" + bytes(8)), "ends early"),
        (riff(fmt(code=0xFFFE), DATA), "16 bytes"),
        (riff(fmt(code=0xFFFE, extra=struct.pack("<HHIH14s", 22, 12, 3, 1, bytes(14))), DATA), "12 valid bits"),
        (riff(fmt(code=3, bits=32), DATA[:8] + struct.pack("<ff", 0, float("nan"))), "channel 2, frame 0"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_its_reason(page, data, says):
    answer = read_in_page(page, data)
    assert answer["name"] == "WavError"
    assert says in answer["error"]


def test_chunks_before_the_samples_are_skipped_at_even_bytes(page):
    answer = read_in_page(page, riff(fmt(), b"LIST\3\0\0\0abc\0", DATA))
    assert answer["frames"] == 2


@pytest.mark.parametrize("name", ["2.0", "5.1", "5.1.4", "7.1", "7.1.4", "9.1.4", "22.2"])
def test_output_maps_are_the_order_of_wav_where_it_differs(page, name):
    labels = [{"label": label} for label in layout(name).labels]
    maps = page.evaluate("async (l) => (await import('./static/player.js')).outputMaps(l)", labels)
    identity = list(range(len(labels)))
    expected = [identity]
    if name != "22.2":  # WAV has no positions for its bottom layer
        order = list(file_order(layout(name), "wav")[0])
        expected += [order] if order != identity else []
    assert list(maps.values()) == expected
