"""The player on a sound device of twelve channels: what it finds, what it refuses, two items, one loudspeaker."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listening.packaging.package import feed_format
from listening.packaging.room_signals import write_signals
from render.hoa.layout import layout

RATE_HZ = 48_000
TRY = """async (options) => {
  const {Player} = await import("./static/player.js");
  try {
    const player = await Player.open(options);
    await player.close();
    return {opened: true};
  } catch (error) {
    return {name: error.name, code: error.code, message: error.message, found: error.found, needed: error.needed};
  }
}"""


@pytest.fixture(scope="module")
def device_page(room, launch, site):
    """A page that has the room's device of 12 channels."""
    browser = launch(room.environment)
    page = browser.new_page()
    page.goto(site[1])
    yield page
    browser.close()


@pytest.fixture(scope="module")
def files(site):
    """Two items of three stereo stimuli, and files that cannot be played."""
    random = np.random.default_rng(2)
    folder = site[0]
    for name, frames in [("a", 48_000), ("b", 60_000)]:
        for slot in range(3):
            samples = random.integers(-(2**22), 2**22, (frames, 2), dtype=np.int32)
            soundfile.write(folder / f"{name}{slot}.wav", samples << 8, RATE_HZ, subtype="PCM_24")
    soundfile.write(folder / "mono.wav", np.zeros((48_000, 1)), RATE_HZ, subtype="PCM_24")
    soundfile.write(folder / "slow.wav", np.zeros((48_000, 2)), 44_100, subtype="PCM_24")
    soundfile.write(folder / "short.wav", np.zeros((479, 2)), RATE_HZ, subtype="PCM_24")
    (folder / "text.wav").write_text("<html>")
    return folder


def test_a_device_at_another_rate_is_refused_and_the_setting_named(device_page):
    answer = device_page.evaluate(TRY, {"sampleRate": 44_100, "channels": 2})
    assert (answer["code"], answer["found"], answer["needed"]) == ("rate", 48_000, 44_100)
    assert "Set the device to 44100 Hz" in answer["message"]


def test_a_device_with_too_few_channels_is_refused(device_page, page):
    answer = device_page.evaluate(TRY, {"sampleRate": RATE_HZ, "channels": 24})
    assert (answer["name"], answer["code"]) == ("PlayerError", "channels")
    assert (answer["found"], answer["needed"]) == (12, 24)
    assert "Chromium" in answer["message"]
    assert "default-sample-channels = 24" in answer["message"]


def test_a_page_without_audio_worklets_says_where_they_are(device_page):
    device_page.evaluate("() => { globalThis.kept = AudioWorkletNode; delete globalThis.AudioWorkletNode; }")
    answer = device_page.evaluate(TRY, {"sampleRate": RATE_HZ, "channels": 2})
    device_page.evaluate("() => { globalThis.AudioWorkletNode = kept; }")
    assert answer["code"] == "insecure"


def test_a_browser_that_starts_no_sound_is_told_from_one_that_cannot_so_many_channels(device_page):
    never = "AudioContext.prototype.resume = function () { return new Promise(() => {}); }"
    state = (
        "Object.defineProperty(AudioContext.prototype, 'state', {{get() {{ return {}; }}, configurable: true}})"
    )
    kept = "[AudioContext.prototype.resume, Object.getOwnPropertyDescriptor(BaseAudioContext.prototype, 'state')]"
    device_page.evaluate(f"() => {{ globalThis.kept = {kept}; {never}; {state.format('`suspended`')}; }}")
    answer = device_page.evaluate(TRY, {"sampleRate": RATE_HZ, "channels": 12})
    assert answer["code"] == "suspended"
    # as Firefox: with twelve channels no start, with two one
    many = "this.destination.channelCount > 2 ? `suspended` : `running`"
    device_page.evaluate(f"() => {{ {state.format(many)}; }}")
    answer = device_page.evaluate(TRY, {"sampleRate": RATE_HZ, "channels": 12})
    device_page.evaluate("() => { [AudioContext.prototype.resume] = kept; delete AudioContext.prototype.state; }")
    assert answer["code"] == "browser"
    assert "cannot play 12 channels" in answer["message"]


def test_what_the_device_offers(device_page):
    labels = [{"label": label} for label in layout("7.1.4").labels]
    answer = device_page.evaluate(
        """async (layout) => {
          const {Player} = await import("./static/player.js");
          const player = await Player.open({sampleRate: 48000, channels: 12, layout});
          const found = await player.probe();
          await player.close();
          return found;
        }""",
        labels,
    )
    assert (answer["maxChannels"], answer["sampleRate"]) == (12, RATE_HZ)
    assert answer["browser"].startswith("Chromium ")
    assert list(answer["outputMaps"].values()) == [list(range(12)), [0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11]]
    assert 0 < answer["baseLatency"] < answer["outputLatency"] < 0.5


ITEMS = """async () => {
  const {Player} = await import("./static/player.js");
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const player = await Player.open({sampleRate: 48000, channels: 2});
  const states = [], messages = [], progress = [];
  player.onstate = (state) => states.push(state);
  player.onmessage = (message) => messages.push(message.type === "released" ? message.buffers.map((b) => b.byteLength) : null);
  const item = (name) => [0, 1, 2].map((id) => ({id, url: `${name}${id}.wav`}));
  await player.load(item("a"), {onProgress: (...bytes) => progress.push(bytes)});
  player.setLoop(0, 30000);
  player.play(1, 500);
  const plays = async (id) => { for (let i = 0; i < 100 && player.playing !== id; i++) await wait(100); };
  await plays(1);
  const before = [player.playing, player.position, player.frames];
  await player.prepare(item("b"));
  const during = [player.playing, player.frames];
  await player.prepare(item("b"));
  player.use();
  const thrown = [];
  for (const act of [() => player.play(3), () => player.setLoop(0, 100), () => player.setLevel(4.1), () => player.setLevel(NaN),
    () => player.setOutputMap([0, 2]), () => player.use(), () => player.setOutputMap("no such")]) {
    try { act(); thrown.push(null); } catch (error) { thrown.push(error.constructor.name); }
  }
  player.setLevel(-4);
  player.play(2);
  await plays(2);
  await wait(700);
  const after = [player.playing, player.position, player.frames];
  const peaks = player.peaks(2, 5).map((part) => [...part]);
  const stats = await player.stats();
  await player.close();
  return {before, during, after, states, thrown, peaks, stats, progress: progress.at(-1), released: messages.filter((m) => m)};
}"""  # noqa: E501


def test_the_next_item_is_prepared_while_one_plays_and_memory_comes_back(device_page, files):
    answer = device_page.evaluate(ITEMS)
    assert answer["before"][0] == 1
    assert 0 <= answer["before"][1] <= 30_000
    assert answer["before"][2] == 48_000
    assert answer["during"] == [1, 48_000]
    assert (answer["after"][0], answer["after"][2]) == (2, 60_000)
    assert 0 < answer["after"][1] < 60_000
    assert answer["thrown"] == ["RangeError"] * 5 + ["Error", "RangeError"]
    assert [state["playing"] for state in answer["states"]][-1] is None
    assert answer["states"][0]["playing"] in (None, 1)
    size = 8 * 48_000
    # nothing, then the item that was prepared twice, then the first one: 24 bits become 4 bytes in two channels
    assert answer["released"] == [[], [8 * 60_000] * 3, [size] * 3]
    samples = soundfile.read(files / "b2.wav", dtype="float32")[0]
    low, high = np.array(answer["peaks"])
    assert (low.min(), high.max()) == (samples.min(), samples.max())
    assert answer["progress"][0] == answer["progress"][1]
    assert answer["stats"]["underruns"] is not None


@pytest.mark.parametrize(
    ("urls", "says"),
    [
        (["a0.wav", "nothing.wav"], "404"),
        (["text.wav"], "no WAV file"),
        (["mono.wav"], "1 channels at 48000 Hz"),
        (["slow.wav"], "2 channels at 44100 Hz"),
        (["a0.wav", "b0.wav"], "60000 samples, another one of its item 48000"),
        (["short.wav"], "479 samples"),
    ],
)
def test_files_that_cannot_be_played_are_named(device_page, files, urls, says):
    answer = device_page.evaluate(
        """async (urls) => {
          const {Player} = await import("./static/player.js");
          const player = await Player.open({sampleRate: 48000, channels: 2});
          const error = await player.load(urls.map((url, id) => ({id, url}))).catch((error) => error);
          await player.close();
          return [error.code, error.message];
        }""",
        urls,
    )
    assert answer[0] == "audio"
    assert says in answer[1]


IDENTIFY = """async (layout) => {
  const {Player, OUTPUT_MAPS} = await import("./static/player.js");
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const player = await Player.open({sampleRate: 48000, channels: 12, layout, outputMap: OUTPUT_MAPS.rears});
  await player.load([{id: "identification", url: "identification.wav"}]);
  for (const channel of [4, 9]) {
    player.identify(channel);
    await wait(2000);
    player.stop();
    await wait(500);
  }
  await player.close();
}"""


@pytest.mark.slow
def test_each_loudspeaker_is_identified_alone(room, device_page, site, places):
    write_signals(site[0], feed_format("7.1.4", None, "bs2051", "wav"), force=True)
    path = room.folder / "identification.f32"
    with room.recording(path):
        device_page.evaluate(IDENTIFY, [{"label": label} for label in layout("7.1.4").labels])
    samples = np.fromfile(path, np.float32)
    recorded = samples[: len(samples) // 12 * 12].reshape(-1, 12).T
    # channel 4 of the files, the left side loudspeaker, is device channel 6, after the rears; 9, top, stays
    assert list(np.flatnonzero(recorded.any(axis=1))) == [6, 9]
    file = soundfile.read(site[0] / "identification.wav", dtype="float32")[0].T
    length = file.shape[1] // 12
    parts = file[4, 4 * length : 5 * length][1000:9000].reshape(8, 1, 1000)
    assert max(len(places(recorded[6:7], part)) for part in parts) >= 2  # one loop


ELSEWHERE = """async () => {
  const {Player} = await import("./static/player.js");
  const player = await Player.open({sampleRate: 48000, channels: 2});
  await player.load([{id: 0, url: "a0.wav"}]);
  player.setOutputMap([1, null, null, null, null, null, null, null, null, null, null, 0]);
  player.play(0);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await player.close();
}"""


@pytest.mark.slow
def test_two_channels_are_sent_to_outputs_of_choice(room, device_page, files, places):
    path = room.folder / "elsewhere.f32"
    with room.recording(path):
        device_page.evaluate(ELSEWHERE)
    samples = np.fromfile(path, np.float32)
    recorded = samples[: len(samples) // 12 * 12].reshape(-1, 12).T
    assert list(np.flatnonzero(recorded.any(axis=1))) == [0, 11]
    file = soundfile.read(files / "a0.wav", dtype="float32")[0].T
    for output, channel in [(11, 0), (0, 1)]:
        parts = file[channel, :44_000].reshape(22, 1, 2000)
        assert any(places(recorded[output : output + 1], part) for part in parts)


LOST = """async () => {
  const {Player} = await import("./static/player.js");
  const player = globalThis.player = await Player.open({sampleRate: 48000, channels: 12});
  globalThis.lost = new Promise((resolve) => { player.onlost = (error) => resolve([error.code, error.message]); });
}"""


GONE = """async () => {
  // A browser that had not reached the device yet goes on without one: that is noticed with the next item.
  for (let second = 0; second < 20 && !player.lost; second++) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await player.prepare([]).catch(() => {});
  }
  const told = await Promise.race([lost, new Promise((resolve) => setTimeout(resolve, 5000, ["nothing", ""]))]);
  player.lost = false;
  return [...told, await player.checkDevice().catch((error) => error.message)];
}"""


def test_a_device_that_goes_is_reported(another_room, launch, site):
    browser = launch(another_room.environment)
    page = browser.new_page()
    page.goto(site[1])
    page.evaluate(LOST)
    page.evaluate("player.prepare([])")
    another_room.stop()
    code, message, found = page.evaluate(GONE)
    browser.close()
    assert code == "device"
    assert "connected" in message
    assert "had 12 channels at 48000 Hz, now" in found


MEMORY = """async (turns) => {
  const {Player} = await import("./static/player.js");
  globalThis.player ??= await Player.open({sampleRate: 48000, channels: 12});
  const item = [0, 1, 2, 3, 4, 5].map((id) => ({id, url: `ten-seconds-${id % 2}.wav`}));
  for (let turn = 0; turn < turns; turn++) {
    await player.prepare(item);
    if (turn < turns - 1) player.use();
    player.play(turn % 6);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}"""


def resident_mb(processes):
    """Resident memory of the page's process, the largest renderer."""
    sizes = [
        int(line.split()[1]) / 1000
        for process in processes
        if b"--type=renderer" in Path(f"/proc/{process}/cmdline").read_bytes()
        for line in Path(f"/proc/{process}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return max(sizes)


@pytest.mark.slow
def test_a_page_holds_two_items_at_most(room, launch, site, processes_of):
    random = np.random.default_rng(4)
    for number in range(2):
        samples = random.integers(-(2**22), 2**22, (10 * RATE_HZ, 12), dtype=np.int32)
        soundfile.write(site[0] / f"ten-seconds-{number}.wav", samples << 8, RATE_HZ, "PCM_24", format="WAVEX")
    browser = launch(room.environment)
    page = browser.new_page()
    page.goto(site[1])
    before = resident_mb(processes_of(os.getpid()))
    page.evaluate(MEMORY, 2)  # one item in use, one prepared
    two = resident_mb(processes_of(os.getpid()))
    page.evaluate(MEMORY, 7)
    later = resident_mb(processes_of(os.getpid()))
    browser.close()
    item = 6 * 12 * 10 * RATE_HZ * 4 / 1e6
    print(
        f"page {before:.0f} MB, with two items of {item:.0f} MB {two:.0f} MB, after six more items {later:.0f} MB"
    )
    assert two - before >= 1.5 * item  # an empty page gives back some of the memory that it took to start
    assert max(two, later) - before <= 2 * item + 200  # the file that is being read, and what is not yet collected
