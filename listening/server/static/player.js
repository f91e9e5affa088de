// The player of the test's pages: stimuli of one item in an AudioWorklet, switched sample by sample (switching.js).
//
//   const player = await Player.open({sampleRate, channels, layout, outputMap, deviceChannels});
//   await player.load([{id, url}, ...]);      or, while another item plays:  await player.prepare([...]); player.use();
//   player.play(slot);  player.play(other);  player.stop();  await player.close();
//
// native.js has the same interface for the player outside the browser; `Playback` is what both share.

import { fadeLength, shortestLoop } from "./switching.js";
import { parseWav } from "./wav.js";

const OVERVIEW = 256;      // frames behind one point of the waveform
const START_MS = 3000;     // a context that has not started by then does not start
// "playback" is a block of 21 ms in Chromium on Linux. On two cores with ten busy processes such blocks were missed 10 to
// 23 times in 15 s, blocks of 60 ms never; a switch is heard 0.2 s after it was asked for.
const LATENCY_S = 0.06;
const MOST_OUTPUTS = 32;   // of a node in Web Audio
const LIMIT_DB = 4;        // BS.1534-3: the listener's own adjustment
export const OUTPUT_MAPS = { identity: "identity", rears: "rears before sides (Chromium, PulseAudio, Windows)" };

// Bit of each label of BS.2051 in a channel mask (WAVE_FORMAT_EXTENSIBLE): ascending bits are the order of a sound device.
const MASK_BITS = {
  "M+030": 0, "M-030": 1, "M+000": 2, "LFE1": 3, "M+110": 4, "M-110": 5, "M+135": 4, "M-135": 5, "M+SC": 6, "M-SC": 7,
  "M+090": 9, "M-090": 10, "U+030": 12, "U+045": 12, "U-030": 14, "U-045": 14, "U+110": 15, "U+135": 15,
  "U-110": 17, "U-135": 17,
};

/** Why nothing can be played; `code` is for the pages' texts, `message` for the person at the machine. */
export class PlayerError extends Error {
  constructor(code, message, found = null, needed = null) {
    super(message);
    Object.assign(this, { name: "PlayerError", code, found, needed });
  }
}

/**
 * Output maps of a layout: for each device channel the channel of the files that it plays.
 *
 * @param {{label: string}[]} layout - channels of the files
 * @returns {Object<string, number[]>} "identity", and the order of sound devices where it is another one
 */
export function outputMaps(layout) {
  const identity = layout.map((_, channel) => channel);
  const bits = layout.map(({ label }) => MASK_BITS[label]);
  const maps = { [OUTPUT_MAPS.identity]: identity };
  if (bits.every((bit) => bit !== undefined) && new Set(bits).size === bits.length) {
    const sorted = [...identity].sort((a, b) => bits[a] - bits[b]);
    if (sorted.some((channel, device) => channel !== device)) maps[OUTPUT_MAPS.rears] = sorted;
  }
  return maps;
}

/** Name and version of the browser, for the record of the device. */
export function browserName(navigator = globalThis.navigator) {
  const brands = navigator.userAgentData?.brands.filter(({ brand }) => !/not.?a.?brand/i.test(brand)) ?? [];
  if (brands.length > 0) return brands.map(({ brand, version }) => `${brand} ${version}`).join(", ");
  const known = /(Firefox|Edg|OPR|Chrome|Version)\/([\d.]+)/.exec(navigator.userAgent);
  return known === null ? navigator.userAgent : `${known[1] === "Version" ? "Safari" : known[1]} ${known[2]}`;
}

/** What the players inside and outside the browser share: checks, the clock, the waveform. */
export class Playback {
  constructor({ sampleRate, channels, maps, outputs }) {
    Object.assign(this, { sampleRate, channels, maps, outputs });  // outputs: channels of the device, at most
    this.onstate = () => {};
    this.onlost = () => {};
    this.shortestLoop = shortestLoop(sampleRate);
    this.frames = 0;
    this.playing = null;
    this.item = null;       // {frames, overviews: Map slot -> [min, max]}
    this.prepared = null;
    this.loop = null;
    this.anchor = { position: 0, at: 0 };  // where playback stood, and when, in samples of the clock
  }

  /** Fetch, check and keep the stimuli of the next item. */
  async prepare(stimuli, { onProgress = () => {} } = {}) {
    const item = { frames: null, overviews: new Map() }, kept = [];
    for (const [index, { id, url }] of stimuli.entries()) {
      const part = (loaded, total) => onProgress(index * total + loaded, stimuli.length * total);
      const file = await fetchStimulus(url, part);
      item.frames ??= file.frames;
      this.check(file, item.frames);
      item.overviews.set(id, overview(file));
      kept.push([id, this.keep(file, url)]);
    }
    await this.handOver(kept);
    this.prepared = item;
  }

  check(file, frames) {
    if (file.sampleRate !== this.sampleRate || file.channels.length !== this.channels) {
      const found = `${file.channels.length} channels at ${file.sampleRate} Hz`;
      throw new PlayerError("audio", `A stimulus has ${found}; the test has ${this.channels} at ${this.sampleRate} Hz.`);
    }
    if (file.frames !== frames) {
      throw new PlayerError("audio", `A stimulus has ${file.frames} samples, another one of its item ${frames}.`);
    }
    const shortest = 2 * fadeLength(this.sampleRate);
    if (frames < shortest) {
      throw new PlayerError("audio", `A stimulus has ${frames} samples; its two fades have ${shortest}.`);
    }
  }

  /** Let the prepared item take the place of the former, which stops. */
  use() {
    if (this.prepared === null) throw new Error("prepare() comes before use()");
    [this.item, this.prepared] = [this.prepared, null];
    this.frames = this.item.frames;
    this.loop = null;
    this.send({ type: "use" });
  }

  /** Fetch the stimuli of an item and use them. */
  async load(stimuli, options) {
    await this.prepare(stimuli, options);
    this.use();
  }

  /** Start, or switch to, a stimulus; without a position where playback stands. */
  play(slot, position = null) {
    if (!this.item?.overviews.has(slot)) throw new RangeError(`there is no stimulus ${slot}`);
    this.send({ type: "play", slot, position: position === null ? null : this.clamp(position) });
  }

  stop() {
    this.send({ type: "stop" });
  }

  seek(position) {
    this.send({ type: "seek", position: this.clamp(position) });
  }

  /** Loop over [start, end) in samples, at least 500 ms; null ends the loop. */
  setLoop(start, end = null) {
    if (start !== null) {
      [start, end] = [this.clamp(start), this.clamp(end)];
      if (!(end - start >= this.shortestLoop)) {
        throw new RangeError(`a loop has ${this.shortestLoop} samples at least; this one would have ${end - start}`);
      }
    }
    this.loop = start === null ? null : [start, end];
    this.send({ type: "loop", start, end: start === null ? null : end });
  }

  /** Level in dB, within +-4; 0 dB leaves every sample as it is in the file. */
  setLevel(db) {
    if (!(Math.abs(db) <= LIMIT_DB)) throw new RangeError(`a level lies within +-${LIMIT_DB} dB; this one is ${db}`);
    this.send({ type: "gain", gain: Math.fround(10 ** (db / 20)) });
  }

  /** Change which device channel plays which channel of the files. */
  setOutputMap(map) {
    this.send({ type: "map", map: this.mapOf(map) });
  }

  /** Repeat the bursts of one channel of the identification signal, which is loaded as "identification". */
  identify(channel) {
    const length = Math.floor(this.frames / this.channels);
    this.setLoop(channel * length, (channel + 1) * length);
    this.play("identification", channel * length);
  }

  /** Sample that is heard now, between the reports of the audio thread by its clock. */
  get position() {
    const { position, at } = this.anchor;
    if (this.playing === null) return position;
    const end = this.loop?.[1] ?? this.frames;
    return Math.max(0, Math.min(Math.round(position + this.clock() - at), Math.max(end, position)));
  }

  /** Smallest and largest sample over all channels, for `n` parts of a stimulus. */
  peaks(slot, n) {
    const [lows, highs] = this.item.overviews.get(slot);
    const low = new Float32Array(n), high = new Float32Array(n);
    for (let part = 0; part < n; part++) {
      const from = Math.floor((part * lows.length) / n);
      const to = Math.max(Math.floor(((part + 1) * lows.length) / n), from + 1);
      low[part] = lows.subarray(from, to).reduce((a, b) => Math.min(a, b));
      high[part] = highs.subarray(from, to).reduce((a, b) => Math.max(a, b));
    }
    return [low, high];
  }

  clamp(position) {
    return Math.min(Math.max(Math.round(position), 0), this.frames);
  }

  mapOf(map) {
    const list = typeof map === "string" ? this.maps[map] : map;
    const fits = (channel) => channel === null || (Number.isInteger(channel) && channel >= 0 && channel < this.channels);
    if (!Array.isArray(list) || list.length > this.outputs || !list.every(fits)) {
      throw new RangeError(`no output map for ${this.channels} channels on ${this.outputs} outputs: ${JSON.stringify(map)}`);
    }
    return list;
  }

  /** Take over what the audio thread reports. */
  report(playing, position, at) {
    this.playing = playing;
    this.anchor = { position, at };
    this.onstate({ playing, position });
  }
}

/** Player in this browser. */
export class Player extends Playback {
  /**
   * Open the sound device.
   *
   * @param {object} options
   * @param {number} options.sampleRate - of the files, in Hz
   * @param {number} options.channels - of the files
   * @param {{label: string}[]} [options.layout] - loudspeaker of each channel, for the named output maps
   * @param {string | (number|null)[]} [options.outputMap] - a name of probe().outputMaps, or a list
   * @param {number} [options.deviceChannels] - channels that the device must have; those used at first
   * @throws {PlayerError}
   */
  static async open({ sampleRate, channels, layout, outputMap = OUTPUT_MAPS.identity, deviceChannels = channels }) {
    const maps = outputMaps(layout ?? Array.from({ length: channels }, () => ({})));
    const context = await openContext(sampleRate, deviceChannels);
    try {
      await context.audioWorklet.addModule(new URL("processor.js", import.meta.url));
      const outputs = Math.min(context.destination.maxChannelCount, MOST_OUTPUTS);
      const player = new Player({ sampleRate, channels, maps, outputs }, context, outputMap);
      await started(context, deviceChannels);
      context.onstatechange = () => player.lose("The sound device has stopped: look whether it is connected, and reload the page.");
      navigator.mediaDevices?.addEventListener("devicechange", player.follow);
      return player;
    } catch (error) {
      await Promise.race([context.close(), delay(1000)]);  // one that never started need not close
      throw error;
    }
  }

  constructor(format, context, outputMap) {
    super(format);
    this.context = context;
    this.lost = false;
    this.before = underruns(context);
    this.node = new AudioWorkletNode(context, "listening-test-player", {
      numberOfInputs: 0,
      numberOfOutputs: 1,
      outputChannelCount: [this.outputs],  // the destination takes as many of the first ones as it has
      processorOptions: { map: this.mapOf(outputMap) },
    });
    this.node.port.onmessage = ({ data }) => this.receive(data);
    this.node.onprocessorerror = () => this.lose("The player in the audio thread has failed; reload the page.");
    this.node.connect(context.destination);
    this.onmessage = () => {};  // every message of the audio thread, for tests
    this.follow = () => this.checkDevice().catch(() => {});  // lose() has told
  }

  async prepare(stimuli, options) {
    await this.checkDevice();
    await super.prepare(stimuli, options);
  }

  /** Refuse another device than the one that was opened: browsers go over to the system's next one without a word. */
  async checkDevice() {
    const { rate, channels } = await systemOutput();
    const before = this.context.destination.maxChannelCount;  // of the device at its opening
    if (this.lost || (rate === this.sampleRate && channels === before)) return;
    throw this.lose(`The sound device has changed: it had ${before} channels at ${this.sampleRate} Hz, now ${channels} at ` +
      `${rate} Hz are found. Look whether it is connected, and reload the page.`);
  }

  /** What the device offers. */
  async probe() {
    const { context } = this;
    for (let look = 0; context.outputLatency === 0 && look < 20; look++) await delay(50);  // measured after the start
    return {
      maxChannels: context.destination.maxChannelCount,
      sampleRate: context.sampleRate,
      baseLatency: context.baseLatency,
      outputLatency: context.outputLatency ?? null,
      outputMaps: this.maps,
      browser: browserName(),
    };
  }

  /** Underruns since the item was taken into use: their number, and seconds; null where the browser does not count. */
  async stats() {
    const now = underruns(this.context);
    if (now === null) return { underruns: null, underrunDuration: null };
    return { underruns: now[0] - this.before[0], underrunDuration: now[1] - this.before[1] };
  }

  use() {
    super.use();
    this.before = underruns(this.context);
  }

  setOutputMap(map) {
    const { destination } = this.context;
    destination.channelCount = Math.max(destination.channelCount, this.mapOf(map).length);
    super.setOutputMap(map);
  }

  /** Fade out, then give the device back: closing while something sounds would click. */
  async close() {
    this.lost = true;  // what ends from here on was asked for
    navigator.mediaDevices?.removeEventListener("devicechange", this.follow);
    if (this.playing !== null) {
      const silent = new Promise((resolve) => { this.onsilent = resolve; });
      this.stop();
      await Promise.race([silent, delay(500)]);
      await delay(2000 * (this.context.outputLatency ?? 0.2));  // until the fade-out has been heard
    }
    this.send({ type: "close" });
    this.node.disconnect();
    await this.context.close();
  }

  /** What is heard now was rendered a latency ago. */
  clock() {
    return (this.context.currentTime - (this.context.outputLatency ?? 0)) * this.sampleRate;
  }

  keep(file) {
    return file.channels;
  }

  /** Move the samples into the audio thread: the memory goes over, nothing is copied. */
  async handOver(stimuli) {
    this.node.port.postMessage({ type: "prepare", stimuli }, stimuli.map(([, channels]) => channels[0].buffer));
  }

  send(command) {
    this.node.port.postMessage(command);
  }

  receive(message) {
    this.onmessage(message);
    if (message.type !== "transitions") return;
    const last = message.transitions.at(-1);
    if (last.phase === "out") return;
    this.report(last.slot, last.position, last.frame);
    if (last.phase === "silent") this.onsilent?.();
  }

  lose(why) {
    const error = new PlayerError("device", why);
    if (!this.lost) {
      this.lost = true;
      this.onlost(error);
    }
    return error;
  }
}

/** Sampling rate and channels of the system's default output. */
async function systemOutput() {
  const context = new AudioContext();
  const output = { rate: context.sampleRate, channels: context.destination.maxChannelCount };
  await Promise.race([context.close(), delay(1000)]);  // one that never started need not close
  return output;
}

async function openContext(sampleRate, needed) {
  if (!("AudioWorkletNode" in globalThis)) {
    throw new PlayerError("insecure", isSecureContext
      ? `${browserName()} has no AudioWorklet; use a current Chromium, Chrome or Edge.`
      : "Browsers play sample-exact sound only on https:// pages and on this machine's own (http://127.0.0.1).");
  }
  // A context at another rate than the device's is resampled without a word: the device's own rate decides.
  const { rate: found, channels: most } = await systemOutput();
  if (found !== sampleRate) {
    throw new PlayerError("rate", `The sound device runs at ${found} Hz, the test's files at ${sampleRate} Hz. ` +
      `Set the device to ${sampleRate} Hz in the system's sound settings and restart the browser.`, found, sampleRate);
  }
  if (most < needed) {
    throw new PlayerError("channels", `${browserName()} finds ${most} output channels, the test needs ${needed}. ` +
      "Choose the multichannel device as the system's default output, set it to all its channels " +
      `(PulseAudio: default-sample-channels = ${needed}) and restart the browser.`, most, needed);
  }
  const context = new AudioContext({ sampleRate, latencyHint: LATENCY_S });
  Object.assign(context.destination, {
    channelCount: needed, channelCountMode: "explicit", channelInterpretation: "discrete",
  });
  return context;
}

async function started(context, channels) {
  await Promise.race([context.resume(), delay(START_MS)]);
  if (context.state === "running") return;
  // With two channels a context of this browser may start nevertheless: then it is the number of channels.
  const stereo = new AudioContext();
  await Promise.race([stereo.resume(), delay(START_MS)]);
  const starts = stereo.state === "running";
  await stereo.close();
  if (starts) {
    throw new PlayerError("browser", `${browserName()} cannot play ${channels} channels on this device; use Chromium or Chrome.`,
      2, channels);
  }
  throw new PlayerError("suspended", "The sound device does not start: click on the page, and look whether a device is connected.");
}

function underruns(context) {
  const stats = context.playbackStats;
  return stats === undefined ? null : [stats.underrunEvents, stats.underrunDuration];
}

function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A WAV file from the server, read. */
async function fetchStimulus(url, onProgress) {
  try {
    const answer = await fetch(url);
    if (!answer.ok) throw new PlayerError("audio", `The server answers ${answer.status} for a stimulus.`);
    const total = Number(answer.headers.get("Content-Length")), parts = [];
    let loaded = 0;
    for (const reader = answer.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      loaded += value.length;
      onProgress(loaded, total || loaded);
    }
    return parseWav(await new Blob(parts).arrayBuffer());
  } catch (error) {
    if (error instanceof PlayerError) throw error;
    throw new PlayerError("audio", `A stimulus cannot be loaded. ${error.message}`);
  }
}

/** Smallest and largest sample over all channels of every 256 frames. */
function overview({ frames, channels }) {
  const points = Math.ceil(frames / OVERVIEW);
  const low = new Float32Array(points), high = new Float32Array(points);
  for (const samples of channels) {
    for (let frame = 0; frame < frames; frame++) {
      const point = Math.floor(frame / OVERVIEW), sample = samples[frame];
      if (sample < low[point]) low[point] = sample;
      if (sample > high[point]) high[point] = sample;
    }
  }
  return [low, high];
}
