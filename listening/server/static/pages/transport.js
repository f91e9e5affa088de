// Start, stop, loop and position of a trial, with the waveform of the open reference. The waveforms of the stimuli are
// not shown: they would tell conditions apart.

import {button, h, svg} from "./dom.js";
import {slots} from "./sound.js";

const BARS = 400;
const SHORTEST_S = 0.5;   // of a loop, BS.1534-3
const STEP_S = 0.1;       // of a loop's end by key
const SEEK_S = 1;

export class Transport {
  /**
   * @param app
   * @param {object} definition  of the trial's page
   * @param {object} state       stored state of the page: played, loop
   * @param {function(number|null)} onsounding  called with the slot that sounds from now on, null for silence
   */
  constructor(app, definition, state, onsounding) {
    Object.assign(this, {app, definition, onsounding});
    this.number = app.number_of_page;
    this.rate = app.session.audio.sample_rate_hz;
    this.frames = definition.frames;
    this.hasReference = slots(definition).has(0);
    this.played = new Set(state.played ?? []);
    this.loop = state.loop ?? [0, this.frames];   // an excerpt repeats as a whole until the listener decides otherwise
    this.last = null;
    this.wanted = null;
    this.sounding = null;
    this.player = null;
    this.#build();
    this.#load();
  }

  // --- what the page asks for ----------------------------------------------

  play(slot) {
    const {player} = this;
    if (!player) return;
    const position = player.position;
    this.app.sound.wake();
    this.last = slot;
    this.wanted = slot;
    this.played.add(slot);
    player.play(slot);
    this.app.emit("play", {slot, position});
    this.#show(slot);
  }

  stop() {
    if (!this.player || this.wanted === null) return;
    this.wanted = null;
    this.player.stop();
    this.app.emit("stop", {position: this.player.position});
    this.#show(null);
  }

  toggle() {
    if (this.sounding !== null) this.stop();
    else this.play(this.last ?? Math.min(...slots(this.definition).keys()));
  }

  seek(position) {
    if (!this.player) return;
    const [start, end] = this.loop ?? [0, this.frames];
    const inside = Math.round(Math.min(Math.max(position, start), end - 1));
    this.player.seek(inside);
    this.app.emit("seek", {position: inside});
    this.shown = inside;
    this.#cursor(inside);
  }

  setLoop(loop) {
    this.loop = loop && loop.map(Math.round);
    this.player?.setLoop(...(this.loop ?? [null]));
    this.#loopShown();
    clearTimeout(this.loopLater);   // dragging gives many values
    this.loopLater = setTimeout(() => this.#sendLoop(), 200);
  }

  /** Sums of the trial, sent before it is done. */
  async leave() {
    this.#sendLoop();
    this.stop();
    const stats = await this.player?.stats();
    if (stats?.underruns !== undefined && stats.underruns !== null) {
      this.app.emit("underruns", {events: stats.underruns, duration_s: stats.underrunDuration ?? 0});
    }
  }

  gone() {
    clearTimeout(this.loopLater);
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.left = true;
    if (this.wanted !== null) this.player?.stop();
    this.app.sound.onstate = null;
  }

  keys(event) {
    const key = event.key.toLowerCase();
    if (key === " ") {
      if (!event.repeat) this.toggle();
    } else if (key === "l") {
      if (!event.repeat) this.#toggleLoop();
    } else if (key === "i") this.#moveEnd(0, this.player?.position ?? 0);
    else if (key === "o") this.#moveEnd(1, this.player?.position ?? this.frames);
    else if (event.shiftKey && key === "arrowleft") this.seek((this.player?.position ?? 0) - SEEK_S * this.rate);
    else if (event.shiftKey && key === "arrowright") this.seek((this.player?.position ?? 0) + SEEK_S * this.rate);
    else return false;
    return true;
  }

  // --- loading -------------------------------------------------------------

  async #load() {
    const {app} = this;
    for (;;) {
      try {
        this.player = await app.sound.load(this.number, (loaded, total) => this.#progress(loaded / total));
        break;
      } catch (error) {
        if (this.left) return;
        if (error.name !== "PlayerError" || error.code !== "audio") {
          this.#failed(error);
          return;
        }
        this.status.textContent = app.t("loading_waits");
        await new Promise((resolve) => setTimeout(resolve, 2000));
        if (this.left) return;
      }
    }
    if (this.left) return;
    this.frames = this.player.frames;
    if (this.loop) this.player.setLoop(...this.loop);
    app.sound.onstate = ({playing}) => this.#heard(playing);
    this.status.textContent = "";
    this.element.classList.add("loaded");
    this.element.dispatchEvent(new CustomEvent("loaded"));
    for (const control of this.controls) control.disabled = false;
    this.#draw();
    this.#follow();
    app.sound.loadNext(this.number);
  }

  #progress(share) {
    if (!this.left) this.status.textContent = this.app.t("loading", {percent: Math.floor(100 * share)});
  }

  #failed(error) {
    const {app} = this;
    this.status.replaceChildren(
      `${app.t("sound_error", {why: error.message})} `,
      button(app.t("again"), () => {
        this.status.textContent = "";
        this.#load();
      }), " ", button(app.t("device_title"), () => app.showDevice()));
    console.error(error);
  }

  // --- what is shown -------------------------------------------------------

  #build() {
    const {app} = this;
    const t = app.t.bind(app);
    this.startButton = button("", () => this.toggle(), {class: "start", id: "start", disabled: true});
    this.loopButton = button(`⟲ ${t("loop")}`, () => this.#toggleLoop(), {class: "loop", id: "loop", disabled: true,
      "aria-keyshortcuts": "L"});
    this.controls = [this.startButton, this.loopButton];
    this.bars = svg("path", {class: "bars"});
    this.region = svg("rect", {class: "region", y: 0, height: 100});
    this.line = h("div", {class: "cursor"});
    this.ends = [0, 1].map((which) => this.#end(which));
    this.wave = h("div", {class: "wave", onpointerdown: (event) => this.#seekTo(event)},
      svg("svg", {viewBox: `0 0 ${BARS} 100`, preserveAspectRatio: "none", "aria-hidden": "true"}, this.region, this.bars),
      this.line, ...this.ends);
    this.time = h("span", {class: "time", "aria-hidden": "true"});
    this.status = h("p", {class: "loading", role: "status"});
    this.element = h("section", {class: "transport", "aria-label": t("position")},
      this.startButton, this.loopButton, this.wave, this.time, this.status);
    this.observer = new ResizeObserver(() => this.#loopShown());
    this.observer.observe(this.wave);
    this.#show(null);
    this.#loopShown();
    this.#cursor(0);
  }

  #end(which) {
    const {app} = this;
    const handle = h("div", {
      class: `loop-end ${which ? "out" : "in"}`, role: "slider", tabindex: "0",
      "aria-label": app.t(which ? "loop_end" : "loop_start"), "aria-valuemin": "0",
      "aria-valuemax": String(Math.round(this.frames / this.rate * 10) / 10),
      onkeydown: (event) => {
        const step = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
          Home: -Infinity, End: Infinity}[event.key];
        if (step === undefined || event.shiftKey) return;
        event.preventDefault();
        event.stopPropagation();
        this.#moveEnd(which, this.loop[which] + step * STEP_S * this.rate);
      },
      onpointerdown: (event) => {
        event.stopPropagation();
        handle.setPointerCapture(event.pointerId);
      },
      onpointermove: (event) => {
        if (handle.hasPointerCapture(event.pointerId)) this.#moveEnd(which, this.#frameAt(event));
      },
    });
    return handle;
  }

  #moveEnd(which, frame) {
    const shortest = Math.ceil(SHORTEST_S * this.rate);
    const [start, end] = this.loop ?? [0, this.frames];
    if (this.frames <= shortest) return;
    this.setLoop(which
      ? [start, Math.min(Math.max(frame, start + shortest), this.frames)]
      : [Math.max(Math.min(frame, end - shortest), 0), end]);
  }

  #toggleLoop() {
    if (!this.player) return;
    if (this.loop) {
      this.former = this.loop;
      this.setLoop(null);
    } else this.setLoop(this.former ?? [0, this.frames]);
  }

  #sendLoop() {
    clearTimeout(this.loopLater);
    const loop = this.loop ?? null;
    const key = JSON.stringify(loop);
    if (this.sentLoop === undefined && loop && loop[0] === 0 && loop[1] === this.frames) return;
    if (key === this.sentLoop) return;
    this.sentLoop = key;
    this.app.emit("loop", loop ? {start: loop[0], end: loop[1]} : {start: null, end: null});
  }

  /** The player tells what sounds; at the end of the excerpt without a loop it stops by itself. */
  #heard(playing) {
    if (playing === null && this.wanted !== null && this.loop === null && this.player.position === 0) {
      this.wanted = null;
      this.app.emit("stop", {position: this.player.position});
    }
    if (playing === this.wanted) this.#show(playing);
  }

  #show(slot) {
    const {app} = this;
    this.sounding = slot;
    this.startButton.replaceChildren(h("span", {"aria-hidden": "true"}, slot === null ? "▶" : "■"),
      ` ${app.t(slot === null ? "start" : "stop")}`);
    this.startButton.setAttribute("aria-keyshortcuts", "Space");
    this.onsounding(slot);
  }

  #loopShown() {
    const {app, loop, frames} = this;
    this.loopButton.setAttribute("aria-pressed", String(loop !== null));
    const shown = loop ?? [0, frames];
    this.element.classList.toggle("looping", loop !== null);
    this.region.setAttribute("x", (BARS * shown[0]) / frames);
    this.region.setAttribute("width", (BARS * (shown[1] - shown[0])) / frames);
    this.ends.forEach((handle, i) => {
      handle.hidden = loop === null;
      handle.style.left = `${(100 * shown[i]) / frames}%`;
      const seconds = shown[i] / this.rate;
      handle.setAttribute("aria-valuenow", seconds.toFixed(1));
      handle.setAttribute("aria-valuetext", app.t("seconds", {seconds: app.number(seconds, 1)}));
    });
  }

  #frameAt(event) {
    const box = this.wave.getBoundingClientRect();
    return Math.round(((event.clientX - box.left) / box.width) * this.frames);
  }

  #seekTo(event) {
    if (event.button === 0 && this.player) this.seek(this.#frameAt(event));
  }

  #draw() {
    if (!this.hasReference) return;
    const [low, high] = this.player.peaks(0, BARS);
    const most = Math.max(1e-6, ...high, ...low.map((value) => -value));
    let path = "";
    for (let i = 0; i < BARS; i++) {
      const y0 = 50 - (48 * high[i]) / most;
      const y1 = 50 - (48 * low[i]) / most;
      path += `M${i + 0.5} ${y0.toFixed(1)}V${Math.max(y1, y0 + 1).toFixed(1)}`;
    }
    this.bars.setAttribute("d", path);
  }

  #follow() {
    this.frame = requestAnimationFrame(() => this.#follow());
    if (!this.player) return;
    if (this.sounding !== null) this.shown = this.player.position;
    this.#cursor(this.shown ?? 0);
  }

  #cursor(frame) {
    const {app} = this;
    this.line.style.left = `${(100 * frame) / this.frames}%`;
    const text = `${app.number(frame / this.rate, 1)} / ${app.t("seconds", {seconds: app.number(this.frames / this.rate, 1)})}`;
    if (this.time.textContent !== text) this.time.textContent = text;
  }
}
