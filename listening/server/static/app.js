// The shell of the listener's pages: session, language, window, connection, keys, and the turning of pages.
//
// A page is a function (app, definition, state) -> {
//   content      elements of the page
//   next         text of the button that goes on; null where there is none
//   hint         what to do first, shown in the footer
//   missing()    what is still to be done before going on, null if nothing; may be a promise; "" stays silently
//   leave()      before the page is done, may send last events
//   gone()       when another page is shown
//   keys(event)  whether it has used a key
//   busy         true while sound matters: the choice of language is hidden
// }

import {EventQueue, Windows} from "./events.js";
import {ask, button, h, newId, paragraphs} from "./pages/dom.js";
import {scaleToScreen} from "./pages/screen.js";
import {Sound} from "./pages/sound.js";
import {welcome, consent, questionnaire, comments, instruction, pause, end} from "./pages/words.js";
import {device} from "./pages/device.js";
import {channels} from "./pages/channels.js";
import {level} from "./pages/level.js";
import {screening} from "./pages/screening.js";
import {rating} from "./pages/rating.js";
import {choice} from "./pages/choice.js";
import {helpTable} from "./pages/help.js";

const POLL_MS = 5000;
const DONE_MS = 5000;   // after so long without an answer the next page is shown all the same
const LATE_MS = 1500;   // a connection that is back sooner is not mentioned

const PAGES = {
  welcome, consent, questionnaire, device, channels, level, screening, instruction, comments, end,
  break: pause,
  trial: (app, ...rest) => (["ab", "abx"].includes(app.session.method) ? choice : rating)(app, ...rest),
};
PAGES.training = PAGES.trial;

class App {
  constructor() {
    this.base = new URL(".", location.href).href;
    this.main = document.getElementById("main");
    this.header = document.getElementById("header");
    this.footer = document.getElementById("footer");
    this.noticeBox = document.getElementById("notice");
    this.live = document.getElementById("live");
    this.page = null;
    this.sound = new Sound(this);
  }

  // --- texts ---------------------------------------------------------------

  /** Text of a key; {names} in braces are replaced by `values`. */
  t(key, values = {}) {
    const text = this.session.texts[key];
    if (text === undefined) {
      console.error(`no text ${key}`);
      return key;
    }
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  has(key) {
    return key in this.session.texts;
  }

  /** A number as the language writes it. */
  number(value, digits = 0) {
    return value.toLocaleString(this.session.language, {minimumFractionDigits: digits, maximumFractionDigits: digits});
  }

  /** Names in a list as the language writes it. */
  list(names) {
    return names.join(this.session.language === "zh" || this.session.language === "ja" ? "、" : ", ");
  }

  /** Tell a screen reader. */
  say(text) {
    this.live.textContent = "";
    setTimeout(() => (this.live.textContent = text), 50);
  }

  // --- start ---------------------------------------------------------------

  async start() {
    await this.#fetchSession();
    this.native = await this.sound.nativeIsConnected();
    this.queue = new EventQueue({
      base: this.base,
      windows: await Windows.open(this.base),
      onconnection: (state) => this.#connection(state),
      onrefused: (why, event) => this.#refused(why, event),
      ontaken: () => this.#taken(),
      onwithdrawn: () => this.#withdrawn(),
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    setInterval(() => this.#poll(), POLL_MS);
    addEventListener("focus", () => this.#poll());
    await this.#open(false);
  }

  /** Open this window, and show the page where the listener was. */
  async #open(takeOver) {
    const other = await this.queue.start(takeOver);
    if (other) {
      this.#message("elsewhere", {seconds: this.number(other.last_seen_s)}, ["take_over", () => this.#open(true)]);
      return;
    }
    await this.#fetchSession();   // with what former windows had left
    this.paused = false;
    const state = this.session.state;
    this.first_open = state.page;
    if (state.page === 0) await this.#guessLanguage();
    if (this.#needsSound(state.page) && !takeOver) this.#resume();   // a take-over is a gesture
    else this.show(state.page);
  }

  /** Browsers start sound after a gesture only: after a reload in the middle of the test it is asked for. */
  #resume() {
    this.#message("resume", {}, ["continue", () => this.show(this.session.state.page)]);
  }

  #needsSound(number) {
    const kinds = this.session.pages.map((page) => page.kind);
    return number > kinds.indexOf("device") && number < kinds.lastIndexOf("trial") + 1;
  }

  async #fetchSession(language) {
    const url = new URL("api/session", this.base);
    if (language) url.searchParams.set("language", language);
    for (let pauseMs = 500; ; pauseMs = Math.min(2 * pauseMs, 8000)) {
      try {
        const response = await fetch(url);
        if (response.ok) {
          this.session = await response.json();
          break;
        }
        if (response.status === 410 && this.session) return this.#withdrawn();
      } catch {
        // no connection: again
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    document.documentElement.lang = this.session.language;
    this.session.title ||= this.t("listening_test");   // a package is named after MUSHRA, other methods have no title
    document.title = this.session.title;
  }

  /** On the first visit the page speaks the language of the browser, where there are texts in it. */
  async #guessLanguage() {
    if (this.session.state.pages["0"]) return;
    const offered = Object.keys(this.session.languages);
    const wanted = navigator.languages.map((each) => each.split("-")[0]).find((each) => offered.includes(each));
    if (wanted && wanted !== this.session.language) {
      await this.#fetchSession(wanted);
      this.emit("language", {page: this.session.state.page, language: wanted});
    }
  }

  async chooseLanguage(language) {
    this.emit("language", {language});
    await this.queue.settled(DONE_MS);
    await this.#fetchSession(language);
    this.showAgain();
  }

  /** "loudspeakers" or "headphones", as the listener uses them. */
  transducer() {
    return this.session.plan.transducer;
  }

  /** Those that the plan allows and the package holds. */
  transducers() {
    return this.session.plan.transducers ?? [this.transducer()];
  }

  /** Take the package's other rendition; pages, files and layout are then those of it. */
  async chooseTransducer(name) {
    await this.sound.close();
    this.emit("device", {transducer: name});
    await this.queue.settled();
    await this.#fetchSession(this.session.language);
    this.show(this.number_of_page);
  }

  // --- pages ---------------------------------------------------------------

  /** Keep an event of the page that is shown. */
  emit(type, fields = {}) {
    this.queue.push(type, {page: this.number_of_page ?? 0, ...fields});
  }

  show(number, state) {
    this.#clear();
    this.number_of_page = number;
    const definition = this.session.pages[number];
    this.definition = definition;
    this.emit("page");
    const kept = state ?? this.session.state.pages?.[String(number)] ?? {};
    this.page = PAGES[definition.kind](this, definition, kept);
    this.main.className = `page-${definition.kind}`;
    this.main.replaceChildren(...[this.page.content].flat());
    this.#header();
    this.#footer();
    if (this.page.hint) this.tell(this.page.hint, "hint");
    scrollTo(0, 0);
    const heading = this.main.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({preventScroll: true});
    document.title = `${heading?.textContent ?? ""} · ${this.session.title}`;
  }

  /** Show a message in place of the page: of another window, of a pause, of the end. */
  #message(name, values = {}, [label, action] = []) {
    this.#clear();
    this.main.className = "page-message";
    const go = action && button(this.t(label), () => {
      go.disabled = true;
      action();
    }, {class: "primary", id: "go"});
    this.main.replaceChildren(
      h("h1", {tabindex: "-1"}, this.t(`${name}_title`)), ...paragraphs(this.t(`${name}_text`, values)), go ?? "");
    this.#header();
    this.footer.replaceChildren();
    (go ?? this.main.querySelector("h1")).focus();
  }

  #clear() {
    this.page?.gone?.();
    this.page = null;
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  }

  #header() {
    const {session} = this;
    const shown = this.page ? this.definition : null;
    const trial = shown && ["trial", "training"].includes(shown.kind);
    const where = trial
      ? this.t(shown.kind === "trial" ? "trial_of" : "training_of", {number: shown.item_number, count: shown.items})
      : "";
    const done = shown && h("progress", {
      max: session.pages.length - 1, value: this.number_of_page, "aria-hidden": "true"});
    const select = h("select", {"aria-label": this.t("language_label"), id: "language", onchange: () =>
      this.chooseLanguage(select.value)},
      Object.entries(session.languages).map(([code, name]) =>
        h("option", {value: code, lang: code, ".selected": code === session.language}, name)));
    const choose = shown && !trial && shown.kind !== "welcome" && Object.keys(session.languages).length > 1;
    this.savedMark = h("span", {class: "saved"}, "");
    this.header.replaceChildren(
      h("div", {class: "where"}, h("strong", {}, session.title), h("span", {}, where)),
      h("div", {class: "tools"},
        done ?? "",
        this.savedMark,
        h("span", {class: "listener"}, this.t("listener", {listener: session.listener})),
        choose ? select : "",
        shown ? button("?", () => this.#help(), {class: "round", id: "help", "aria-label": this.t("help"), title: this.t("help")}) : ""));
    this.#mark();
  }

  #footer() {
    if (this.page.next === null) {
      this.footer.replaceChildren();
      return;
    }
    this.message = h("p", {class: "message", id: "message", role: "alert"});
    this.footer.replaceChildren(
      this.message,
      this.page.aside ?? "",
      button(this.page.next ?? this.t("next"), () => this.next(), {class: "primary next", id: "next"}));
  }

  /** Say in the footer what is to be done before going on; `kind` is "hint" or "good" where nothing is missing. */
  tell(text, kind = "") {
    if (!this.message) return;
    this.message.className = `message ${kind}`;
    this.message.textContent = text;
  }

  async next() {
    if (!this.page || this.page.next === null || this.turning) return;
    this.turning = true;
    const page = this.page;
    try {
      const missing = (await page.missing?.()) ?? null;
      if (this.page !== page) return;
      if (missing !== null) {
        this.tell("");
        setTimeout(() => this.tell(missing), 30);   // said again when it is the same
        return;
      }
      if (this.number_of_page < this.first_open) {   // shown again, done before
        this.show(this.first_open);
        return;
      }
      await page.leave?.();
      this.emit("done");
      const number = this.#following(this.number_of_page);
      this.first_open = number;
      document.getElementById("next")?.setAttribute("aria-busy", "true");
      await this.queue.settled(DONE_MS);
      if (this.page === page && number < this.session.pages.length) this.show(number);
    } finally {
      this.turning = false;
    }
  }

  /** Number of the page after one that is done; the screening is for headphones. */
  #following(number) {
    const next = number + 1;
    const skipped = this.session.pages[next]?.kind === "screening" && this.transducer() === "loudspeakers";
    return skipped ? this.#following(next) : next;
  }

  /** Show the page anew, as the listener has left it. */
  showAgain() {
    if (this.page) this.show(this.number_of_page, this.page.keep?.());
  }

  /** The sound output is gone; another device has to be checked first, where sound is needed. */
  soundLost(error) {
    if (error.code !== "device" || !this.page || !this.#needsSound(this.number_of_page)) {
      this.showAgain();
      return;
    }
    this.showDevice();
    this.tell(this.t("sound_error", {why: error.message}));
  }

  /** Show the page of the sound output again; going on leads back. */
  showDevice() {
    this.session.state.pages[String(this.number_of_page)] = this.page.keep?.() ?? {};
    this.show(this.session.pages.findIndex((page) => page.kind === "device"));
  }

  /** What the server knows of pages comes with the session; a page that is shown again needs it anew. */
  async reload() {
    await this.#fetchSession(this.session.language);
    this.first_open = this.session.state.page;
    this.show(this.first_open);
  }

  // --- connection ----------------------------------------------------------

  notice(text, kind = "") {
    this.noticeBox.className = kind;
    this.noticeBox.textContent = text;
  }

  #connection({connected, why}) {
    clearTimeout(this.late);
    this.#mark();
    if (connected) {
      if (this.noticeBox.textContent) {
        this.notice(this.t("online_again"), "good");
        this.late = setTimeout(() => this.notice(""), 4000);
      }
    } else {
      this.late = setTimeout(() => this.notice(this.t(why === "storage" ? "storage_full" : "offline"), "warning"),
        why === "storage" ? 0 : LATE_MS);
    }
  }

  #mark() {
    if (this.savedMark && this.queue) this.savedMark.textContent = this.queue.connected ? "" : this.t("saving");
  }

  /** The server's word is the last one: show what it has. */
  async #refused(why, event) {
    console.warn(`refused: ${event.type}: ${why}`);
    await this.reload();
    this.notice(this.t("refused"), "warning");
    clearTimeout(this.late);
    this.late = setTimeout(() => this.notice(""), 8000);
  }

  #taken() {
    this.sound.close();
    this.#message("taken", {}, ["take_over", () => this.#open(true)]);
  }

  #withdrawn() {
    this.queue?.stop();
    this.sound.close();
    this.#message("withdrawn");
  }

  async #poll() {
    if (!this.queue?.open) return;
    const url = new URL("api/poll", this.base);
    url.searchParams.set("window", this.queue.window);
    try {
      const response = await fetch(url, {signal: AbortSignal.timeout(POLL_MS)});
      if (!this.queue.open) return;
      if (response.status === 410) return this.#withdrawn();
      if (!response.ok) return;
      const told = await response.json();
      if (told.withdrawn) this.#withdrawn();
      else if (told.elsewhere) {
        this.queue.stop();
        this.#taken();
      } else if (told.paused !== this.paused) this.#pause(told.paused);
    } catch {
      // the queue notices a lost connection by itself
    }
  }

  #pause(paused) {
    this.paused = paused;
    if (paused) {
      this.kept = this.page?.keep?.();
      this.sound.stop();
      this.#message("paused");
    } else if (this.number_of_page !== undefined) this.show(this.number_of_page, this.kept);
    else this.#resume();   // paused before this window had shown a page
  }

  // --- keys ----------------------------------------------------------------

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    const {target} = event;
    const typed = target.closest?.("textarea, select, input:not([type=range]):not([type=radio]):not([type=checkbox])");
    if (typed) return;
    if (event.key === "?") {
      event.preventDefault();
      this.#help();
      return;
    }
    const pressed = target.closest?.("button, a, summary, input[type=radio], input[type=checkbox]");
    if (pressed && (event.key === " " || event.key === "Enter")) return;
    if (pressed?.matches("input[type=radio]") && event.key.startsWith("Arrow")) return;
    if (event.key === "Enter" && !event.repeat) {
      event.preventDefault();
      this.next();
      return;
    }
    if (this.page?.keys?.(event)) event.preventDefault();
  }

  #help() {
    if (!this.page) return;
    const id = newId("help");
    const dialog = h("dialog", {class: "help", "aria-labelledby": id, onclose: () => dialog.remove()},
      h("h2", {id}, this.t("help_title")),
      helpTable(this),
      h("div", {class: "row end"}, button(this.t("close"), () => dialog.close(), {class: "primary", autofocus: true})));
    document.body.append(dialog);
    dialog.showModal();
  }

  ask(title, text, answers) {
    return ask(title, text, answers);
  }
}

scaleToScreen();
const app = new App();
app.start();
