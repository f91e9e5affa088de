"""The player outside the browser: the page's samples, driven by a page through the server; PortAudio."""

import base64
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from listening.native_player.playback import CommandError, Playback
from listening.native_player.remote import Remote, ReplacedError, Server, samples_of
from render.common.errors import InputError

ROOT = Path(__file__).parents[3]
RATE_HZ = 48_000

# The module of the audio thread, with what surrounds it there
RENDER = """async ({frames, stimuli, schedule, blocks, map}) => {
  globalThis.sampleRate = 48000;
  globalThis.currentFrame = 0;
  globalThis.AudioWorkletProcessor = class { port = {postMessage() {}}; };
  globalThis.registerProcessor = (_name, processor) => { globalThis.Processor = processor; };
  await import("./static/processor.js");
  const bytes = Uint8Array.from(atob(stimuli), (letter) => letter.charCodeAt(0));
  const samples = new Float32Array(bytes.buffer);
  const channel = (number) => samples.slice(number * frames, (number + 1) * frames);
  const processor = new Processor({processorOptions: {map: [0, 1]}});
  processor.port.onmessage({data: {type: "prepare", stimuli: [0, 1].map((slot) => [slot, [0, 1].map((c) => channel(2 * slot + c))])}});
  const output = [0, 1, 2].map(() => new Float32Array(128 * blocks));
  for (let number = 0; number < blocks; number++) {
    schedule.filter(([at]) => at === number).forEach(([, command]) => processor.port.onmessage({data: command}));
    const block = [0, 1, 2].map(() => new Float32Array(128));
    processor.process([], [block]);
    block.forEach((samples, device) => output[device].set(samples, 128 * number));
    globalThis.currentFrame += 128;
  }
  const reader = new FileReader();
  reader.readAsDataURL(new Blob(output));
  await new Promise((resolve) => { reader.onload = resolve; });
  return reader.result.split(",")[1];
}"""  # noqa: E501

SCHEDULE = [
    [0, {"type": "use"}], [0, {"type": "map", "map": [1, 0, None]}],
    [3, {"type": "play", "slot": 0, "position": None}],
    [300, {"type": "play", "slot": 1, "position": None}], [301, {"type": "gain", "gain": 0.7071067690849304}],
    [390, {"type": "loop", "start": 6000, "end": 31000}], [500, {"type": "seek", "position": 12000}],
    [800, {"type": "stop"}], [850, {"type": "play", "slot": 0, "position": 29000}],
    [1000, {"type": "loop", "start": None, "end": None}],
]  # fmt: skip


def test_commands_give_the_samples_of_the_page(page):
    random = np.random.default_rng(3)
    stimuli = (random.integers(-(2**23), 2**23, (2, 2, 50_000)) / 2**23).astype(np.float32)
    answer = page.evaluate(
        RENDER,
        {"frames": 50_000, "stimuli": base64.b64encode(stimuli.tobytes()).decode(), "schedule": SCHEDULE,
         "blocks": 1500, "map": [1, 0, None]},
    )  # fmt: skip
    expected = np.frombuffer(base64.b64decode(answer), np.float32).reshape(3, -1)
    playback = Playback(RATE_HZ, 2, 3)
    playback.prepare(dict(enumerate(stimuli)))
    output = np.ones((3, 128 * 1500), np.float32)
    for number in range(1500):
        for at, command in SCHEDULE:
            if at == number:
                playback.carry_out(command)
        playback.render(output[:, 128 * number : 128 * (number + 1)])
    assert np.count_nonzero(output != expected) == 0
    assert not output[:, :9600].any()  # 0.2 s
    assert not output[2].any()
    assert np.count_nonzero(output[0]) > 100_000


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ({}, "no command None"),
        ({"type": "format"}, "no command format"),
        ({"type": "use"}, "no item"),
        ({"type": "play", "slot": 2}, "no stimulus 2"),
        ({"type": "play", "slot": [0]}, "no stimulus"),
        ({"type": "play", "slot": 0, "position": 50_001}, "50000 samples"),
        ({"type": "seek", "position": "0"}, "position"),
        ({"type": "seek", "position": True}, "position"),
        ({"type": "loop", "start": 0, "end": 23_999}, "24000"),
        ({"type": "loop", "start": 0, "end": 60_000}, "position"),
        ({"type": "gain", "gain": 1.6}, "4.0 dB"),
        ({"type": "gain", "gain": float("nan")}, "4.0 dB"),
        ({"type": "gain", "gain": None}, "4.0 dB"),
        ({"type": "map", "map": [0, 2]}, "output map"),
        ({"type": "map", "map": [0, 1, 0, 1]}, "4 channels, the device 3"),
        ({"type": "map", "map": "identity"}, "output map"),
    ],
)
def test_commands_that_cannot_be_are_refused(command, says):
    playback = Playback(RATE_HZ, 2, 3)
    playback.prepare({0: np.zeros((2, 50_000), np.float32), 1: np.zeros((2, 50_000), np.float32)})
    playback.carry_out({"type": "use"})
    with pytest.raises(CommandError, match=says):
        playback.carry_out(command)


@pytest.mark.parametrize(
    "address", ["", "http://127.0.0.1:8714/", "ftp://a/t/b/", "127.0.0.1:8714/t/abc/", "http:///t/a/"]
)
def test_what_is_no_link_of_a_listener_is_refused(address):
    with pytest.raises(InputError, match="whole link"):
        Server(address)


@pytest.mark.parametrize("content", ["<html>", "[]", "{}", "null", '{"audio": '])
def test_what_answers_but_is_no_listening_test_is_refused(site, content):
    (site[0] / "t" / "abc" / "api").mkdir(parents=True, exist_ok=True)
    (site[0] / "t" / "abc" / "api" / "session").write_text(content)
    with Server(site[1] + "t/abc/") as server, pytest.raises(InputError, match=r"not listening\.serve"):
        server.ask_json("api/session", None, "audio")


class Pump:
    """An output without a device: blocks of 10 ms are rendered in time and kept."""

    def __init__(self, link):
        with Server(link) as server:
            session = json.loads(server.ask("api/session"))
        self.channels = session["audio"]["channels"]
        self.playback = Playback(RATE_HZ, self.channels, self.channels)
        facts = {"device": "none", "max_channels": self.channels, "latency_s": 0.0, "underruns": 0}
        self.remote = Remote(link, self.playback, lambda: facts)
        self.blocks, self.failure = [], None
        self.threads = [threading.Thread(target=work) for work in (self.render, self.follow)]
        self.is_running = True

    def render(self):
        begin = time.monotonic()
        while self.is_running:
            while len(self.blocks) * 0.01 < time.monotonic() - begin:
                block = np.empty((self.channels, 480), np.float32)
                self.playback.render(block)
                self.blocks.append(block)
            time.sleep(0.005)

    def follow(self):
        try:
            self.remote.run()
        except (InputError, ReplacedError) as error:
            self.failure = error

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.remote.end()
        self.threads[1].join()
        self.is_running = False
        self.threads[0].join()


DRIVE = """async ({reference, stimuli}) => {
  const {NativePlayer} = await import("./static/native.js");
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const states = [];
  const player = globalThis.player = await NativePlayer.open({sampleRate: 48000, channels: 2});
  globalThis.lost = new Promise((resolve) => { player.onlost = (error) => resolve([error.code, error.message]); });
  player.onstate = (state) => states.push(state);
  await player.load([reference, ...stimuli].map((id, slot) => ({id: slot, url: `audio/${id}`})));
  player.setLoop(0, player.frames);
  const playing_for_400_ms = async (slot) => {
    while (!states.some((state) => state.playing === slot)) await wait(20);
    await wait(400);
  };
  player.play(0, 1000);
  await playing_for_400_ms(0);
  player.play(2);
  await playing_for_400_ms(2);
  const [playing, position] = [player.playing, player.position];
  player.stop();
  await wait(400);
  return {states, playing, position, probe: await player.probe(), stats: await player.stats(), peaks: player.peaks(0, 4).map((p) => [...p])};
}"""  # noqa: E501


@pytest.fixture
def link(served, client):
    listener = next(iter(served.test.overview()))
    return f"http://127.0.0.1:{client.port}/t/{listener['link'].strip('/').rpartition('/')[2]}/"


@pytest.fixture
def listener_page(launch, link):
    browser = launch()
    page = browser.new_page()
    page.goto(link)
    yield page
    browser.close()


def samples(link, trial):
    with Server(link) as server:
        names = [trial["reference"], *trial["stimuli"]]
        return [samples_of(server.ask(f"audio/{name}"), RATE_HZ) for name in names]


def trial_of(link):
    with Server(link) as server:
        pages = json.loads(server.ask("api/session"))["pages"]
    return next(page for page in pages if page["kind"] == "trial")


def test_a_page_drives_the_player_and_is_told_of_its_end(listener_page, link, places):
    trial = trial_of(link)
    with Pump(link) as pump:
        time.sleep(0.5)
        answer = listener_page.evaluate(DRIVE, {"reference": trial["reference"], "stimuli": trial["stimuli"]})
    assert listener_page.evaluate("lost") == ["native", "The player outside the browser was ended."]
    output = np.concatenate(pump.blocks, axis=1)
    stimuli = samples(link, trial)
    playing = [state["playing"] for state in answer["states"]]
    assert [slot for slot, _ in itertools.groupby(playing)] in ([0, 2, None], [None, 0, 2, None])
    assert answer["playing"] == 2
    assert 0 <= answer["position"] <= 36_000
    assert answer["probe"]["browser"] == "listening.play, none"
    assert answer["stats"] == {"underruns": 0, "underrunDuration": None}
    lows, highs = np.array(answer["peaks"])
    assert lows.min() == stimuli[0].min()
    assert highs.max() == stimuli[0].max()
    switched = next(state["position"] for state in answer["states"] if state["playing"] == 2)
    for slot, position in [(0, 1000), (2, switched)]:  # after the fade-in
        assert places(output, stimuli[slot][:, position + 240 :][:, :2000], 0)


def test_a_page_without_a_player_says_how_to_start_one(listener_page):
    answer = listener_page.evaluate(
        "async () => { const {NativePlayer} = await import('./static/native.js');"
        "try { await NativePlayer.open({sampleRate: 48000, channels: 2}); }"
        "catch (e) { return [e.code, e.message]; } }"
    )
    assert answer[0] == "native"
    assert "listening.play" in answer[1]


def test_a_second_player_takes_over(link):
    with Pump(link) as first:
        time.sleep(0.3)
        with Pump(link):
            first.threads[1].join(5)
            assert not first.threads[1].is_alive()
    assert isinstance(first.failure, ReplacedError)


def play(*arguments, environment=None, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "listening.play", *arguments], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}), **options,
    )  # fmt: skip


def test_the_command_says_what_is_missing(tmp_path, link, command):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    player = play("--server", link, environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    out, error = player.communicate(timeout=60)
    assert (player.returncode, out) == (2, "")
    assert "libportaudio2" in error
    assert "Traceback" not in error
    for arguments, says in [(["--server", "http://127.0.0.1:9/t/a/"], "listening.serve"), ([], "--server"),
                            (["--server", link.replace("/t/", "/t/x")], "404"),
                            (["--server", link, "--channels", "1"], "2 channels")]:  # fmt: skip
        refused = command("listening.play", *arguments)
        assert refused.returncode == 2
        assert says in refused.stderr


@pytest.fixture
def alsa(room, tmp_path):
    """Environment in which ALSA, and by it PortAudio, has the device "room"."""
    pytest.importorskip("sounddevice", reason="sounddevice or PortAudio is missing: apt-get install libportaudio2",
                        exc_type=OSError)  # fmt: skip
    plugins = list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    if not plugins or not Path("/usr/share/alsa/alsa.conf").exists():
        pytest.skip("ALSA's device for PulseAudio is missing: sudo apt-get install libasound2-plugins")
    configuration = tmp_path / "asound.conf"
    device = 'pcm.room { type pulse hint { show on description "room" } }'
    configuration.write_text(f"</usr/share/alsa/alsa.conf>\n{device}\n")
    return room.environment | {"ALSA_CONFIG_PATH": str(configuration)}


@pytest.mark.slow
def test_samples_reach_the_loudspeakers_through_portaudio(room, alsa, link, listener_page, places):
    trial = trial_of(link)
    listed = play("--list", environment=alsa)
    assert "room" in listed.communicate(timeout=60)[0]
    missing = play("--server", link, "--device", "no such", environment=alsa)
    assert "--list" in missing.communicate(timeout=60)[1]
    player = play("--server", link, "--device", "room", environment=alsa)
    try:
        assert "2 channels at 48000 Hz" in player.stdout.readline()
        time.sleep(1)
        path = room.folder / "native.f32"
        with room.recording(path):
            states = listener_page.evaluate(DRIVE, {"reference": trial["reference"], "stimuli": trial["stimuli"]})[
                "states"
            ]
    finally:
        player.send_signal(2)
        _, error = player.communicate(timeout=30)
    assert player.returncode == 0
    assert "Traceback" not in error  # ALSA reports an underrun of a busy machine here
    recorded = np.fromfile(path, np.float32)
    recorded = recorded[: len(recorded) // 12 * 12].reshape(-1, 12).T[:2]
    stimuli = samples(link, trial)
    for slot, position in [(0, 1000), (2, next(s["position"] for s in states if s["playing"] == 2))]:
        parts = [stimuli[slot][:, at : at + 1000] for at in range(position + 240, position + 15_000, 1000)]
        assert any(places(recorded, part) for part in parts)
