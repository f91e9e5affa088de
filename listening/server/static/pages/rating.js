// One page of MUSHRA (BS.1534-3) or of the triple-stimulus test with hidden reference (BS.1116-3): a slider for each
// stimulus. Only the slider of the stimulus that is sounding moves.

import {button, h, newId} from "./dom.js";
import {Transport} from "./transport.js";
import {commentBox} from "./words.js";

const SEND_MS = 100;   // while a slider is dragged, an event at most so often; the last value always

const SCALES = {
  mushra: {
    event: "rate", unit: 1, digits: 0, least: 0, most: 100, page: 10,
    bands: ["band_excellent", "band_good", "band_fair", "band_poor", "band_bad"],
    ticks: [100, 80, 60, 40, 20, 0],
    name: (slot) => String(slot),
  },
  bs1116: {
    event: "grade", unit: 0.1, digits: 1, least: 1, most: 5, page: 1,
    marks: ["grade_5", "grade_4", "grade_3", "grade_2", "grade_1"],
    ticks: [5, 4, 3, 2, 1],
    name: (slot) => "ABC"[slot],
  },
};

export function rating(app, definition, state) {
  const page = new Rating(app, definition, state);
  return {
    content: page.content,
    aside: page.comment.toggle,
    hint: page.scores.size ? "" : app.t("hint_rating"),
    missing: () => page.missing(),
    leave: () => page.leave(),
    gone: () => page.transport.gone(),
    keys: (event) => page.keys(event),
    keep: () => page.keep(),
  };
}

class Rating {
  constructor(app, definition, state) {
    Object.assign(this, {app, definition});
    this.method = app.session.method;
    this.scale = SCALES[this.method];
    this.scores = new Map(Object.entries(state.scores ?? {}).map(([slot, score]) => [Number(slot), score]));
    this.columns = definition.stimuli.map((_, i) => this.#column(i + 1));
    this.transport = new Transport(app, definition, state, (slot) => this.#sounding(slot));
    this.comment = commentBox(app, state.comment ?? "");
    this.#build();
    for (const [slot, score] of this.scores) {
      this.columns[slot - 1].sent = score;
      this.#show(slot);
    }
    this.#sounding(null);
  }

  // --- building ------------------------------------------------------------

  #build() {
    const {app, scale, definition} = this;
    const t = app.t.bind(app);
    const attribute = definition.attribute;
    const training = definition.kind === "training"
      ? h("p", {class: "training-note"}, t("training_text")) : "";
    const letter = this.method === "mushra" ? t("reference") : `A · ${t("reference")}`;
    this.reference = button("", () => this.#play(0), {class: "play reference", "data-slot": "0", disabled: true,
      "aria-label": t("play_reference"), "aria-keyshortcuts": "0"});
    this.reference.append(h("span", {class: "sign", "aria-hidden": "true"}), h("span", {}, letter), h("kbd", {}, this.method === "mushra" ? "0" : "A"));
    this.buttons = [this.reference, ...this.columns.map((column) => column.play)];
    const labels = h("div", {class: `labels ${scale.bands ? "bands" : "marks"}`, "aria-hidden": "true"},
      (scale.bands ?? scale.marks).map((key) => h("span", {class: "label"}, t(key))),
      h("div", {class: "ticks"}, scale.ticks.map((tick) => {
        const mark = h("span", {}, app.number(tick, scale.digits));
        mark.style.bottom = `${(100 * (tick - scale.least)) / (scale.most - scale.least)}%`;
        return mark;
      })));
    const lines = h("div", {class: "lines", "aria-hidden": "true"}, scale.ticks.map((tick) => {
      const line = h("i");
      line.style.bottom = `${(100 * (tick - scale.least)) / (scale.most - scale.least)}%`;
      return line;
    }));
    const field = h("div", {class: `scales ${this.method}`},
      h("div", {class: "scale-names"}, h("div", {class: "number"}), labels, this.reference),
      h("div", {class: "columns"}, lines, this.columns.map((column) => column.element)));
    field.style.setProperty("--count", this.columns.length);
    this.content = [
      h("div", {class: "task"},
        h("h1", {}, t(`attribute_${attribute}`)),
        h("p", {}, t(`attribute_${attribute}_text`))),
      training,
      this.transport.element,
      field,
      this.comment.element,
    ];
    this.transport.element.addEventListener("loaded", () => {
      for (const each of this.buttons) each.disabled = false;
    });
  }

  #column(slot) {
    const {app, scale} = this;
    const t = app.t.bind(app);
    const name = scale.name(slot);
    const label = this.method === "mushra" ? t("score", {number: name}) : t("grade", {letter: name});
    const number = h("span", {class: "number", "aria-hidden": "true"}, "–");
    const slider = h("input", {
      type: "range", min: scale.least, max: scale.most, step: scale.unit, ".value": String(scale.least),
      orient: "vertical", "aria-orientation": "vertical", "aria-label": label, "aria-valuetext": t("not_rated"),
      "data-slot": String(slot), disabled: true,
      oninput: () => this.#moved(slot, Number(slider.value), true),
      onchange: () => this.#moved(slot, Number(slider.value), false),
      // a press on the slider where it stands is a rating too
      onpointerup: () => this.dragging && !this.scores.has(slot) && this.#moved(slot, Number(slider.value), false),
      onpointerdown: () => (this.dragging = !slider.disabled),
      onpointercancel: () => this.#released(),
      onlostpointercapture: () => this.#released(),
    });
    slider.addEventListener("pointerup", () => this.#released());
    const play = button("", () => this.#play(slot), {class: "play", "data-slot": String(slot), disabled: true,
      "aria-label": t("play_stimulus", {number: name})});
    play.append(h("span", {class: "sign", "aria-hidden": "true"}), h("span", {class: "name"}, name));
    const element = h("div", {class: "column", "data-slot": String(slot),
      onpointerdown: (event) => this.#refuse(slot, event)}, number, h("div", {class: "track"}, slider), play);
    return {element, number, slider, play, sentAt: 0};
  }

  // --- acting --------------------------------------------------------------

  #play(slot) {
    this.transport.play(slot);
    const focused = document.activeElement;
    // keys go on to act on what sounds, wherever the pointer clicked
    if (slot > 0 && (!focused || focused === document.body || focused.closest(".column"))) {
      this.columns[slot - 1].slider.focus({preventScroll: true});
    }
  }

  #refuse(slot, event) {
    if (event.target.closest("button") || this.transport.sounding === slot) return;
    const name = this.scale.name(slot);
    this.app.tell(this.app.t("not_sounding", {number: name}));
  }

  #sounding(slot) {
    this.now = slot;
    if (this.dragging) return;   // a slider that is held moves until it is let go
    this.columns.forEach((column, i) => {
      const active = slot === i + 1;
      column.slider.disabled = !active;
      column.element.classList.toggle("sounding", active);
      this.#mark(column.play, active);
    });
    if (this.reference) this.#mark(this.reference, slot === 0);
    if (slot > 0) this.app.tell("");
  }

  #mark(play, active) {
    play.setAttribute("aria-pressed", String(active));
    const played = this.transport?.played.has(Number(play.dataset.slot));
    play.querySelector(".sign").textContent = active ? "♪" : played ? "▶" : "▷";
  }

  #released() {
    this.dragging = false;
    this.#sounding(this.now);
  }

  /** A slider has moved; while it is dragged not every value is sent. */
  #moved(slot, value, dragging) {
    const {scale} = this;
    const score = Number(Math.min(Math.max(value, scale.least), scale.most).toFixed(scale.digits));
    const column = this.columns[slot - 1];
    const same = this.scores.get(slot) === score && column.sent === score;
    this.scores.set(slot, score);
    this.#show(slot);
    clearTimeout(column.later);
    if (same) return;
    const wait = dragging ? column.sentAt + SEND_MS - Date.now() : 0;
    if (wait > 0) column.later = setTimeout(() => this.#send(slot), wait);
    else this.#send(slot);
    this.#complete();
  }

  #send(slot) {
    const column = this.columns[slot - 1];
    column.sentAt = Date.now();
    column.sent = this.scores.get(slot);
    clearTimeout(column.later);
    this.app.emit(this.scale.event, {slot, score: column.sent});
  }

  #show(slot) {
    const {app, scale} = this;
    const column = this.columns[slot - 1];
    const score = this.scores.get(slot);
    const text = app.number(score, scale.digits);
    column.slider.value = String(score);
    column.number.textContent = text;
    column.slider.setAttribute("aria-valuetext", `${text}, ${app.t(this.#label(score))}`);
    column.element.classList.add("rated");
  }

  /** Label of the scale that a score belongs to. */
  #label(score) {
    const {scale} = this;
    if (scale.marks) return scale.marks[Math.round(5 - score)];
    return scale.bands[4 - Math.min(4, Math.floor(score / 20))];
  }

  #complete() {
    if (this.#unheard().length + this.#unrated().length === 0) this.app.tell(this.app.t("complete"), "good");
  }

  keys(event) {
    const slot = this.#slotOf(event);
    if (slot !== null) {
      if (!event.repeat && !this.buttons[slot].disabled) this.#play(slot);
      return true;
    }
    if (this.transport.keys(event)) return true;
    const {scale} = this;
    const active = this.transport.sounding;
    const step = {ArrowUp: scale.unit, ArrowRight: scale.unit, ArrowDown: -scale.unit, ArrowLeft: -scale.unit,
      PageUp: scale.page, PageDown: -scale.page, Home: -Infinity, End: Infinity}[event.key];
    if (step === undefined || event.shiftKey) return false;
    if (active === null || active === 0) {
      if (event.target.matches?.("input[type=range]")) return true;
      return active === 0;
    }
    this.#moved(active, (this.scores.get(active) ?? scale.least) + step, false);
    return true;
  }

  /** Slot of a key: digits (Shift for 10 to 12), in BS.1116 letters. */
  #slotOf(event) {
    const count = this.columns.length;
    if (this.method === "bs1116") {
      const letter = "ABC".indexOf(event.key.toUpperCase());
      if (letter !== -1 && event.key.length === 1) return letter;
    }
    // with Shift, layouts with letters on the digits' row give digits, the others signs
    const typed = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
    const place = /^Digit([0-9])$/.exec(event.code)?.[1];
    const slot = typed ?? (place === undefined ? null : Number(place) + (event.shiftKey ? 10 : 0));
    return slot !== null && slot <= count ? slot : null;
  }

  // --- going on ------------------------------------------------------------

  #unheard() {
    return this.buttons.map((_, slot) => slot).filter((slot) => !this.transport.played.has(slot));
  }

  #unrated() {
    return this.columns.map((_, i) => i + 1).filter((slot) => !this.scores.has(slot));
  }

  async missing() {
    const {app, scale} = this;
    const t = app.t.bind(app);
    const named = (slots) => app.list(slots.map((slot) => (slot === 0 ? t("reference") : scale.name(slot))));
    const parts = [];
    if (this.#unheard().length) parts.push(t("missing_heard", {list: named(this.#unheard())}));
    if (this.#unrated().length) parts.push(t("missing_rated", {list: named(this.#unrated())}));
    if (parts.length) return parts.join(" · ");
    const top = [...this.scores.values()].includes(scale.most);
    if (top) return null;
    if (this.method === "bs1116") return t("missing_5");
    if (app.session.plan.require_100) return t("missing_100");
    const answer = await app.ask(t("ask_100_title"), t("ask_100"), [["stay", t("ask_100_stay")], ["go", t("ask_100_go")]]);
    return answer === "go" ? null : "";
  }

  /** What is shown again after a pause or another language, as the server would tell it. */
  keep() {
    return {
      scores: Object.fromEntries(this.scores), played: [...this.transport.played],
      loop: this.transport.loop, comment: this.comment.value,
    };
  }

  async leave() {
    this.columns.forEach((column, i) => this.scores.has(i + 1) && column.sent !== undefined &&
      column.sent !== this.scores.get(i + 1) && this.#send(i + 1));
    this.comment.flush();
    await this.transport.leave();
  }
}
