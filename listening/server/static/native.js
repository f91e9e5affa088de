// The same interface as player.js for a player outside the browser (python -m listening.play): commands go through
// the server, which keeps them for it, and its state comes back (listening/server/native_relay.py).

import { OUTPUT_MAPS, outputMaps, Playback, PlayerError } from "./player.js";

const WAIT_S = 10;         // how long the server keeps a question for the state open
const LOAD_MS = 60_000;    // for the files of an item
const ALSA = "rears before centre (ALSA)";

/** Output maps of a layout as for a browser, and the order of ALSA: FL FR RL RR FC LFE, then as in WAV. */
export function nativeOutputMaps(layout) {
  const maps = outputMaps(layout), labels = layout.map(({ label }) => label);
  const [, , centre, lfe, left, right] = maps[OUTPUT_MAPS.rears] ?? maps[OUTPUT_MAPS.identity];
  if (labels[centre] !== "M+000" || labels[lfe] !== "LFE1" || left === undefined || right === undefined) return maps;
  const rest = (maps[OUTPUT_MAPS.rears] ?? maps[OUTPUT_MAPS.identity]).slice(6);
  return { ...maps, [ALSA]: [0, 1, left, right, centre, lfe, ...rest] };
}

/** Player outside the browser, driven from this page. */
export class NativePlayer extends Playback {
  /**
   * Take the player that is connected to this listener's link; options as for Player.open.
   *
   * @throws {PlayerError} "native" if none is connected, "rate" and "channels" as for Player
   */
  static async open({ sampleRate, channels, layout, outputMap = OUTPUT_MAPS.identity, deviceChannels = channels }) {
    const maps = nativeOutputMaps(layout ?? Array.from({ length: channels }, () => ({})));
    const answer = await ask("api/native?after=-1&wait=0");
    if (!answer.connected) {
      throw new PlayerError("native", "No player is connected: start python -m listening.play --server and this page's address.");
    }
    const { state } = answer;
    if (state.sample_rate_hz !== sampleRate) {
      throw new PlayerError("rate", `The player runs at ${state.sample_rate_hz} Hz, the test's files at ${sampleRate} Hz.`,
        state.sample_rate_hz, sampleRate);
    }
    if (state.max_channels < deviceChannels) {
      throw new PlayerError("channels", `The player uses ${state.max_channels} channels of ${state.device}, ${deviceChannels} ` +
        "are needed: start it with --channels, or name another --device.", state.max_channels, deviceChannels);
    }
    const player = new NativePlayer({ sampleRate, channels, maps, outputs: state.max_channels }, answer);
    player.setOutputMap(outputMap);
    player.watch();
    return player;
  }

  constructor(format, answer) {
    super(format);
    this.id = answer.player;
    this.state = answer.state;
    this.revision = answer.revision;
    this.closed = false;
    this.number = 0;               // of the item, counted by this page
    this.before = answer.state.underruns;
    this.sending = Promise.resolve();
    this.onreport = () => {};
  }

  async probe() {
    const { state } = this;
    return {
      maxChannels: state.max_channels,
      sampleRate: state.sample_rate_hz,
      baseLatency: 0,
      outputLatency: state.latency_s,
      outputMaps: this.maps,
      browser: `listening.play, ${state.device}`,
    };
  }

  async stats() {
    return { underruns: this.state.underruns - this.before, underrunDuration: null };  // PortAudio tells no time
  }

  use() {
    super.use();
    this.before = this.state.underruns;
  }

  async close() {
    this.stop();
    await this.sending;
    this.closed = true;
  }

  clock() {
    return (performance.now() / 1000) * this.sampleRate;
  }

  keep(_file, url) {
    return url.split("/").at(-1);  // the file id
  }

  /** Let the player fetch the files of the item; resolves when it has them. */
  async handOver(stimuli) {
    this.number += 1;
    const item = `${this.revision}-${this.number}`;
    this.send({ type: "prepare", item, stimuli: stimuli.map(([id, audio]) => ({ id, audio })) });
    await this.sending;
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new PlayerError("audio", "The player does not load the item.")), LOAD_MS);
      this.onreport = ({ prepared, failed }) => {
        if (prepared !== item && failed?.item !== item) return;
        clearTimeout(timer);
        this.onreport = () => {};
        if (prepared === item) resolve();
        else reject(new PlayerError("audio", failed.why));
      };
      this.onreport(this.state);
    });
  }

  /** Commands go out one after the other, in their order. */
  send(command) {
    this.sending = this.sending.then(() => ask("api/native", { commands: [command] })).catch((error) => this.lose(error));
  }

  /** Follow the player's state until it ends. */
  async watch() {
    while (!this.closed) {
      try {
        const answer = await ask(`api/native?after=${this.revision}&wait=${WAIT_S}`);
        if (!answer.connected || answer.player !== this.id) {
          throw new PlayerError("native", answer.state?.why || "The player has ended, or its connection is lost.");
        }
        if (answer.revision !== this.revision) this.take(answer);
      } catch (error) {
        if (!this.closed) this.lose(error);
      }
    }
  }

  take({ revision, state }) {
    const { turn } = this.state;  // counts the starts, switches and stops
    Object.assign(this, { revision, state });
    this.onreport(state);
    if (state.turn !== turn) this.report(state.playing, state.position, this.clock());
  }

  lose(error) {
    if (this.closed) return;
    this.closed = true;
    this.playing = null;
    this.onlost(error instanceof PlayerError ? error : new PlayerError("native", `The server does not answer. ${error.message}`));
  }
}

async function ask(url, body = null) {
  const answer = await fetch(url, body === null ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (answer.status === 409) throw new PlayerError("native", "No player is connected: start python -m listening.play.");
  if (!answer.ok) throw new PlayerError("native", `The server answers ${answer.status}.`);
  return answer.json();
}
