// Switching between the stimuli of an item (ITU-R BS.1534-3): what is sounding fades out over 5 ms, then what is wanted
// fades in over 5 ms; two stimuli never sound together. listening/native_player/switching.py is the same in NumPy, and
// both give equal samples.
//
// The running position counts on through a fade: a switch asked for at position p plays p .. p+N-1 of the old stimulus
// under the fade-out (N = 5 ms), then p+N, p+N+1, ... of the new one. A stop keeps the position p+N, where a start
// without a position goes on. A seek plays p .. p+N-1, then from the position that it names. A loop [start, end) fades
// out over its last N samples, end-N .. end-1, and in over its first; without a loop the same happens at the end of the
// file, and playback stops at position 0. A position from which no fade-in and fade-out fit before the end (less than 2N
// samples), or outside a loop, becomes the start of the loop or file.
//
// What is asked for during a fade follows after it; of several requests the last one wins. Requests take effect at the
// first sample of a block. Arithmetic in float32: (sample times fade, rounded) times gain, rounded. At 0 dB and outside
// fades a sample is that of the file, bit for bit.

const FADE_S = 0.005;
const LOOP_S = 0.5;

/** Length of a fade in samples. */
export function fadeLength(sampleRate) {
  return Math.round(FADE_S * sampleRate);
}

/** Shortest loop in samples (BS.1534-3: 500 ms). */
export function shortestLoop(sampleRate) {
  return Math.round(LOOP_S * sampleRate);
}

/** Raised cosine of a fade-in, float32; a fade-out is the same backwards. */
export function fadeIn(sampleRate) {
  const length = fadeLength(sampleRate);
  return Float32Array.from({ length }, (_, k) => 0.5 - 0.5 * Math.cos((Math.PI * (k + 0.5)) / length));
}

/** State machine that renders what sounds, block by block. */
export class Switcher {
  /** @param {number} sampleRate - in Hz, of all stimuli */
  constructor(sampleRate) {
    this.fade = fadeIn(sampleRate);
    this.stimuli = new Map();    // slot -> Float32Array of each channel
    this.frames = 0;             // length of each stimulus
    this.map = [];               // device channel -> channel of the files, or null: silence
    this.frame = 0;              // running number of the next output sample
    this.phase = "silent";       // "in", "sounding", "out", "silent"
    this.slot = null;            // what sounds
    this.position = 0;           // of the next sample
    this.step = 0;               // samples of the fade that are done
    this.loop = null;            // [start, end) or null
    this.gain = 1;
    this.gainBefore = 1;
    this.gainStep = this.fade.length;
    this.wanted = { slot: null, position: null, item: null, map: null, gain: 1 };
    this.transitions = [];       // {frame, phase, slot, position} since the reader last emptied it
    this.released = [];          // stimuli that are no longer used, likewise
  }

  /** Let other stimuli, all of equal length, take the place of those there are; what sounds stops. */
  use(stimuli) {
    if (this.wanted.item !== null) this.released.push(this.wanted.item);
    Object.assign(this.wanted, { item: stimuli, slot: null, position: null });
    this.loop = null;
  }

  /** Start, or switch; at `position`, or where playback stands. */
  play(slot, position = null) {
    if (!(this.wanted.item ?? this.stimuli).has(slot)) throw new RangeError(`there is no stimulus ${slot}`);
    this.wanted.slot = slot;
    if (position !== null) this.wanted.position = position;
  }

  stop() {
    this.wanted.slot = null;
  }

  seek(position) {
    this.wanted.position = position;
  }

  /** Loop over [start, end), or null. */
  setLoop(loop) {
    this.loop = loop;
  }

  /** For each device channel the channel of the files that it plays, or null for silence; changed in silence. */
  setMap(map) {
    this.wanted.map = map;
  }

  /** Factor on all samples; while something sounds it changes along the raised cosine of a fade. */
  setGain(gain) {
    this.wanted.gain = Math.fround(gain);
  }

  /** Render the next `length` samples into one Float32Array for each device channel. */
  process(output, length) {
    for (let done = 0; done < length; ) {
      this.advance();
      const run = Math.min(length - done, this.untilChange());
      this.render(output, done, run);
      done += run;
    }
  }

  /** Enter the phase in which the next sample is played. */
  advance() {
    const length = this.fade.length;
    if (this.phase === "out" && this.step === length) this.fallSilent();
    if (this.phase === "in" && this.step === length) this.phase = "sounding";
    if (this.phase === "sounding" && this.mustFade()) this.enter("out");
    if (this.gainStep === length && this.wanted.gain !== this.gain) {
      this.gainBefore = this.gain;
      this.gain = this.wanted.gain;
      this.gainStep = this.phase === "silent" ? length : 0;
    }
    if (this.phase === "silent") this.settle();
  }

  /** Region that is played, as [start, end). */
  get region() {
    return this.loop ?? [0, this.frames];
  }

  mustFade() {
    const [start, end] = this.region;
    return this.isAsked() || this.position < start || this.position >= end - this.fade.length;
  }

  /** Whether something else is wanted than what sounds. */
  isAsked() {
    const { slot, position, item, map } = this.wanted;
    return slot !== this.slot || position !== null || item !== null || map !== null;
  }

  /** After a fade-out: at the end of the file playback stops, unless something is wanted. */
  fallSilent() {
    if (this.loop === null && this.position === this.frames && !this.isAsked()) {
      this.wanted.slot = null;
      this.wanted.position = 0;
    }
    this.slot = null;
    this.gainStep = this.fade.length;
    this.enter("silent");
  }

  /** In silence: take over what is wanted, and start if something is to sound. */
  settle() {
    if (this.wanted.map !== null) {
      this.map = this.wanted.map;
      this.wanted.map = null;
    }
    if (this.wanted.item !== null) {
      this.released.push(this.stimuli);
      this.stimuli = this.wanted.item;
      this.frames = [...this.stimuli.values()][0][0].length;
      this.wanted.item = null;
      this.position = 0;
      this.enter("silent");
    }
    if (this.wanted.position !== null) {
      this.position = this.wanted.position;
      this.wanted.position = null;
      this.enter("silent");
    }
    if (this.wanted.slot !== null) {
      const [start, end] = this.region;
      if (this.position < start || this.position > end - 2 * this.fade.length) this.position = start;
      this.slot = this.wanted.slot;
      this.enter("in");
    }
  }

  enter(phase) {
    this.phase = phase;
    this.step = 0;
    this.transitions.push({ frame: this.frame, phase, slot: this.slot, position: this.position });
  }

  /** Samples until the phase may change. */
  untilChange() {
    const length = this.fade.length;
    if (this.phase === "silent") return Infinity;
    const phase = this.phase === "sounding" ? this.region[1] - length - this.position : length - this.step;
    return this.gainStep < length ? Math.min(phase, length - this.gainStep) : phase;
  }

  render(output, from, run) {
    const length = this.fade.length, fading = this.phase === "in" || this.phase === "out";
    const ramping = this.gainStep < length;
    const channels = this.phase === "silent" ? null : this.stimuli.get(this.slot);
    for (let device = 0; device < output.length; device++) {
      const target = output[device], channel = this.map[device] ?? null;
      if (channels === null || channel === null) {
        target.fill(0, from, from + run);
        continue;
      }
      const source = channels[channel];
      for (let k = 0; k < run; k++) {
        let sample = source[this.position + k];
        if (fading) {
          const step = this.step + k;
          sample = Math.fround(sample * this.fade[this.phase === "in" ? step : length - 1 - step]);
        }
        target[from + k] = sample * (ramping ? this.gainAt(k) : this.gain);
      }
    }
    this.frame += run;
    if (channels === null) return;
    this.position += run;
    if (fading) this.step += run;
    if (ramping) this.gainStep += run;
  }

  /** Gain at the k-th sample of a run in which it changes, float32. */
  gainAt(k) {
    const rise = Math.fround(Math.fround(this.gain - this.gainBefore) * this.fade[this.gainStep + k]);
    return Math.fround(this.gainBefore + rise);
  }
}
