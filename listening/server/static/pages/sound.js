// The player as the pages use it: opened once, in this browser or beside it, and loaded one trial ahead.

/** What is presented on a page: slot -> file id. */
export function slots(definition) {
  const found = new Map(definition.stimuli.map((id, i) => [i + 1, id]));
  if (definition.reference) found.set(0, definition.reference);
  return found;
}

export class Sound {
  constructor(app) {
    this.app = app;
    this.player = null;
    this.ahead = null;    // {number, promise} of the trial that is being prepared
    this.onstate = null;
  }

  /** Whether a player outside the browser is connected to this listener's link; where there is one, it plays. */
  async nativeIsConnected() {
    try {
      const response = await fetch(new URL("api/native", this.app.base));
      return response.ok && (await response.json()).connected;
    } catch {
      return false;
    }
  }

  /** Open the device as the last device event says; a player that is open already is kept. */
  async open({outputMap} = {}) {
    if (this.player) return this.player;
    const {session} = this.app;
    const device = session.state.device ?? {};
    const Kind = device.native ? (await import("../native.js")).NativePlayer : (await import("../player.js")).Player;
    const {sample_rate_hz: sampleRate, channels} = session.audio;
    const map = outputMap ?? device.output_map ?? undefined;
    const player = await Kind.open({
      sampleRate, channels, layout: session.layout.channels, outputMap: map,
      deviceChannels: Array.isArray(map) ? Math.max(map.length, channels) : channels,
    });
    player.onstate = (state) => this.onstate?.(state);
    player.onlost = (error) => this.#lost(error);
    this.player = player;
    this.ahead = null;
    return player;
  }

  async close() {
    const {player} = this;
    this.player = null;
    this.ahead = null;
    this.onstate = null;
    await player?.close();
  }

  stop() {
    this.player?.stop();
  }

  /** Load the stimuli of a page, or take those that are prepared for it, at the listener's level. */
  async load(number, onProgress) {
    const player = await this.open();
    if (this.ahead?.number === number) {
      const {promise} = this.ahead;
      this.ahead = null;
      try {
        await promise;
        player.use();
        return player;
      } catch {
        // it could not be loaded then; it is loaded now
      }
    }
    this.ahead = null;
    await player.prepare(this.#files(number), {onProgress});
    player.use();
    player.setLevel(this.app.session.state.level_db ?? 0);
    return player;
  }

  /** Begin to load the trial that follows page `number`. */
  loadNext(number) {
    const {pages} = this.app.session;
    const next = pages.findIndex((page, i) => i > number && page.stimuli);
    if (next === -1 || !this.player || this.ahead?.number === next) return;
    const promise = this.player.prepare(this.#files(next));
    promise.catch(() => {});   // load() reports it
    this.ahead = {number: next, promise};
  }

  /** Load one of the room's signals. */
  async loadSignal(name) {
    const player = await this.open();
    this.ahead = null;
    await player.load([{id: name, url: this.#url(this.app.session.signals[name])}]);
    return player;
  }

  #files(number) {
    return [...slots(this.app.session.pages[number])].map(([id, file]) => ({id, url: this.#url(file)}));
  }

  #url(file) {
    return new URL(`audio/${file}`, this.app.base).href;
  }

  /** A computer that has slept may have suspended the output. */
  wake() {
    if (this.player?.context?.state === "suspended") this.player.context.resume();
  }

  #lost(error) {
    console.error(error);
    const {player} = this;
    this.player = null;
    this.ahead = null;
    player.close().catch(() => {});   // it may play on, on another device
    this.app.soundLost(error);
  }
}
