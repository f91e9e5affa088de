// The queue of events: whatever the listener does is kept in the browser before it is sent, and stays there until the
// server says that it is on its disk. Sequence numbers count 1, 2, 3 ... in a window, so that repeated sending stores
// an event once. What another window of this listener left behind is sent before this window is opened.

const BACK_OFF_MS = [300, 600, 1200, 2500, 5000, 8000];
const ANSWER_MS = 10000;   // a request without an answer for so long counts as lost
const ALIVE_MS = 150;      // a window of this browser answers others in that time
const MOMENT_MS = 80;      // most events are acknowledged sooner
const BATCH = 200;         // events of a request, and their characters: the server takes 1 MiB
const BATCH_CHARACTERS = 200000;
const LAST = "last";       // key of the window that was opened last
const KEEPALIVE_BYTES = 60000;   // browsers keep at most 64 KiB of requests alive after a page is gone

/** The first events of a queue that fit into one request. */
function batch(events) {
  let characters = 0;
  const end = events.slice(0, BATCH).findIndex((event) => (characters += JSON.stringify(event).length) > BATCH_CHARACTERS);
  return events.slice(0, end === -1 ? BATCH : Math.max(1, end));
}

/**
 * What is kept in the browser. localStorage is written at once and survives a closed or crashed window, but reaches the
 * disk after seconds only: what waits longer than a moment goes into IndexedDB too, which survives a killed browser.
 * Where either is full or forbidden, the other or the memory has to do.
 */
class Shelf {
  constructor(prefix) {
    this.prefix = prefix;
    this.later = new Map();     // key -> timer of what is to go into the database
    this.written = new Set();   // keys in the database
    this.database = database(prefix);
  }

  put(key, value) {
    const text = JSON.stringify(value);
    try {
      localStorage.setItem(this.prefix + key, text);
    } catch {
      // see above
    }
    clearTimeout(this.later.get(key));
    this.later.set(key, setTimeout(() => {
      this.later.delete(key);
      this.written.add(key);
      this.#change((store) => store.put(text, key));
    }, MOMENT_MS));
  }

  remove(key) {
    try {
      localStorage.removeItem(this.prefix + key);
    } catch {
      // see above
    }
    clearTimeout(this.later.get(key));
    this.later.delete(key);
    if (this.written.delete(key)) this.#change((store) => store.delete(key));
  }

  /** Map of key to value. */
  async entries() {
    const found = new Map();
    for (const [key, text] of await this.#inDatabase()) {
      this.written.add(key);
      found.set(key, JSON.parse(text));
    }
    try {
      for (let i = 0; i < localStorage.length; i++) {
        const key = localStorage.key(i);
        if (key.startsWith(this.prefix)) found.set(key.slice(this.prefix.length), JSON.parse(localStorage.getItem(key)));
      }
    } catch {
      // see above
    }
    return found;
  }

  async #change(act) {
    try {
      act((await this.database).transaction("kept", "readwrite", {durability: "strict"}).objectStore("kept"));
    } catch {
      // see above
    }
  }

  async #inDatabase() {
    try {
      const store = (await this.database).transaction("kept").objectStore("kept");
      const [keys, texts] = await Promise.all([outcome(store.getAllKeys()), outcome(store.getAll())]);
      return keys.map((key, i) => [key, texts[i]]);
    } catch {
      return [];
    }
  }
}

function database(name) {
  const opened = new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("kept");
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error);
  });
  opened.catch(() => {});
  return opened;
}

function outcome(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Events of a window among the entries of the shelf, in order. */
function eventsOf(id, entries) {
  const events = [...entries].filter(([key]) => key.startsWith(`${id}:`)).map(([, event]) => event);
  return events.sort((a, b) => a.seq - b.seq);
}

export class EventQueue {
  /**
   * @param {object} options
   *   base: URL of the listener's pages, ends in "/"; windows: a `Windows`;
   *   onconnection({connected, why}) after each change; onrefused(why), ontaken(seconds), onwithdrawn().
   */
  constructor({base, windows, onconnection, onrefused, ontaken, onwithdrawn}) {
    Object.assign(this, {base, windows, onconnection, onrefused, ontaken, onwithdrawn});
    this.window = windows.id;
    this.shelf = new Shelf(`listening:${new URL(base).pathname}:`);
    this.waiting = [];
    this.stored = 0;
    this.failures = 0;
    this.connected = true;
    this.open = false;
    this.stopped = false;
    this.listeners = [];
    addEventListener("online", () => this.#retryNow());
    addEventListener("pagehide", () => this.#sendLast());
    document.addEventListener("visibilitychange", () => document.hidden && this.#sendLast());
  }

  get empty() {
    return this.waiting.length === 0;
  }

  /** Keep an event and send it; `fields` are those of its type. */
  push(type, fields = {}) {
    if (this.stopped) return;
    const last = this.waiting.at(-1)?.seq ?? this.stored;
    const event = {seq: last + 1, at_ms: Date.now(), type, ...fields};
    this.waiting.push(event);
    this.shelf.put(`${this.window}:${event.seq}`, event);
    this.#send();
  }

  /** Resolve when nothing waits any more (true), or after a time without success (false). */
  settled(timeoutMs) {
    if (this.empty) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? 0 : setTimeout(() => finish(false), timeoutMs);
      const finish = (value) => {
        clearTimeout(timer);
        this.listeners = this.listeners.filter((each) => each !== check);
        resolve(value);
      };
      const check = () => this.empty && finish(true);
      this.listeners.push(check);
    });
  }

  /**
   * Send what former windows left, then open this one.
   *
   * @returns {Promise<null|{last_seen_s: number}>} null when opened, or what the server says of another live window
   */
  async start(takeOver) {
    this.stopped = false;
    const former = await this.#sendLeft();
    for (;;) {
      const answer = await this.#post("api/open", {window: this.window, take_over: takeOver || former});
      if (answer.status === 200) {
        this.shelf.put(LAST, this.window);
        this.stored = answer.body.stored;
        const kept = eventsOf(this.window, await this.shelf.entries());
        this.waiting = kept.filter((event) => event.seq > this.stored);
        for (const event of kept) if (event.seq <= this.stored) this.shelf.remove(`${this.window}:${event.seq}`);
        this.open = true;
        await this.#send();
        return null;
      }
      if (answer.status === 409) return answer.body;
      if (answer.status === 410) {
        this.stop();
        this.onwithdrawn();
        return new Promise(() => {});
      }
      await this.#wait(answer);
    }
  }

  /** Send nothing more from this window; what waits stays in localStorage. */
  stop() {
    this.stopped = true;
    this.open = false;
  }

  /**
   * Send what windows of this browser left that are no more.
   *
   * @returns {Promise<boolean>} whether the server's present window is one of them: it may be replaced
   */
  async #sendLeft() {
    const entries = await this.shelf.entries();
    const ids = new Set([...entries].map(([key, value]) => (key === LAST ? value : key.slice(0, key.lastIndexOf(":")))));
    ids.delete(this.window);
    const gone = [];
    await Promise.all([...ids].map(async (id) => (await this.windows.isAlive(id)) || gone.push([id, eventsOf(id, entries)])));
    gone.sort((a, b) => (a[1][0]?.at_ms ?? 0) - (b[1][0]?.at_ms ?? 0));
    let present = false;
    for (const [id, events] of gone) {
      let left = events;
      do {
        const answer = await this.#post("api/events", {window: id, events: batch(left)});
        if (answer.status === 0 || answer.status >= 500) {
          await this.#wait(answer);
          continue;
        }
        if (answer.status === 200) present = true;
        // of a window that another one has replaced, or out of place: it can never be stored
        const done = answer.status === 200 ? answer.body.stored : Infinity;
        for (const event of left.filter((each) => each.seq <= done)) this.shelf.remove(`${id}:${event.seq}`);
        left = left.filter((each) => each.seq > done);
      } while (left.length);
    }
    return present;
  }

  async #send() {
    if (this.sending || !this.open) return;
    this.sending = true;
    try {
      while (this.waiting.length && this.open) {
        const answer = await this.#post("api/events", {window: this.window, events: batch(this.waiting)});
        if (!this.open) return;
        if (answer.status === 200) this.#acknowledge(answer.body.stored);
        else if (answer.status === 409 && answer.body.error === "gap") this.#number(answer.body.stored);
        else if (answer.status === 422) this.#drop(answer.body);
        else if (answer.status === 409) this.#taken(answer.body);
        else if (answer.status === 410) {
          this.stop();
          this.onwithdrawn();
        } else await this.#wait(answer);
      }
    } finally {
      this.sending = false;
    }
  }

  #acknowledge(stored) {
    for (const event of this.waiting.filter((each) => each.seq <= stored)) {
      this.shelf.remove(`${this.window}:${event.seq}`);
    }
    this.waiting = this.waiting.filter((each) => each.seq > stored);
    this.stored = Math.max(this.stored, stored);
    this.#connection(true);
    if (this.empty) for (const check of [...this.listeners]) check();
  }

  /** Count what waits anew from what the server has: after a refusal, or when its database is an older copy. */
  #number(stored) {
    for (const event of this.waiting) this.shelf.remove(`${this.window}:${event.seq}`);
    this.stored = stored;
    this.waiting.forEach((event, i) => {
      event.seq = stored + 1 + i;
      this.shelf.put(`${this.window}:${event.seq}`, event);
    });
  }

  #drop({stored, why}) {
    this.#acknowledge(stored);
    const refused = this.waiting.shift();
    this.shelf.remove(`${this.window}:${refused.seq}`);
    this.#number(stored);
    this.onrefused(why, refused);
    if (this.empty) for (const check of [...this.listeners]) check();
  }

  #taken(body) {
    this.stop();
    this.ontaken(body.last_seen_s);
  }

  /** Status and JSON body of an answer; status 0 where there is none. */
  async #post(path, body) {
    try {
      const response = await fetch(new URL(path, this.base), {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      const text = await response.text();
      let answer = {};
      try {
        answer = JSON.parse(text);
      } catch {
        // an answer of a proxy, not of the server
        if (response.ok) return {status: 0, body: {}};
      }
      return {status: response.status, body: answer};
    } catch {
      return {status: 0, body: {}};
    }
  }

  async #wait(answer) {
    this.#connection(false, answer.status === 503 && answer.body.error === "storage" ? "storage" : "network");
    const pause = BACK_OFF_MS[Math.min(this.failures, BACK_OFF_MS.length - 1)];
    this.failures += 1;
    await new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, pause * (0.8 + 0.4 * Math.random()));
    });
  }

  #retryNow() {
    this.failures = 0;
    this.wake?.();
  }

  #connection(connected, why) {
    if (connected) this.failures = 0;
    if (connected === this.connected && why === this.why) return;
    this.connected = connected;
    this.why = why;
    this.onconnection({connected, why});
  }

  /** The page is left: what waits is sent once more without waiting for the answer. */
  #sendLast() {
    if (!this.open || this.empty) return;
    let events = this.waiting;
    let body = JSON.stringify({window: this.window, events});
    while (body.length > KEEPALIVE_BYTES && events.length > 1) {
      events = events.slice(0, Math.ceil(events.length / 2));
      body = JSON.stringify({window: this.window, events});
    }
    const request = {method: "POST", headers: {"Content-Type": "application/json"}, body, keepalive: true};
    fetch(new URL("api/events", this.base), request).catch(() => {});
  }
}

/**
 * The windows of this listener in this browser. A window keeps its id over a reload; a duplicated tab inherits
 * sessionStorage, so each asks the others whether one of them lives under its id, and then takes a new one.
 */
export class Windows {
  static async open(base) {
    const windows = new Windows(base);
    let id = null;
    try {
      id = sessionStorage.getItem(windows.name);
    } catch {
      // without sessionStorage a reload is a new window
    }
    if (id === null || (await windows.isAlive(id))) {
      // crypto.randomUUID exists in secure contexts only
      id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    }
    windows.id = id;
    try {
      sessionStorage.setItem(windows.name, id);
    } catch {
      // see above
    }
    return windows;
  }

  constructor(base) {
    this.name = `listening-window:${new URL(base).pathname}`;
    this.id = null;
    this.asked = new Map();
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = ({data}) => {
      if (data.ask !== undefined && data.ask === this.id) this.channel.postMessage({alive: this.id});
      this.asked.get(data.alive)?.();
    };
  }

  /** Whether another window lives under an id. */
  isAlive(id) {
    return new Promise((resolve) => {
      const finish = (alive) => {
        this.asked.delete(id);
        resolve(alive);
      };
      this.asked.set(id, () => finish(true));
      setTimeout(() => finish(false), ALIVE_MS);
      this.channel.postMessage({ask: id});
    });
  }
}
