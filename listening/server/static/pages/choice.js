// A preference between A and B, or ABX: which of the two is X.

import {button, h} from "./dom.js";
import {slots} from "./sound.js";
import {Transport} from "./transport.js";
import {commentBox} from "./words.js";

export function choice(app, definition, state) {
  const t = app.t.bind(app);
  const abx = app.session.method === "abx";
  const names = abx ? ["A", "B", "X"] : ["A", "B"];
  const values = abx ? [["a", "x_is_a"], ["b", "x_is_b"]] : [["a", "answer_a"], ["same", "answer_same"], ["b", "answer_b"]];
  const reference = slots(definition).has(0);
  const question = t(abx ? "question_abx" : "question_ab");
  let chosen = state.choice ?? null;
  let transport = null;
  const buttons = new Map();
  const playing = (slot) => {
    for (const [of, play] of buttons) {
      play.setAttribute("aria-pressed", String(of === slot));
      play.querySelector(".sign").textContent = of === slot ? "♪" : transport?.played.has(of) ? "▶" : "▷";
    }
  };
  const play = (slot, name, key) => {
    const made = button("", () => transport.play(slot), {class: "play big", "data-slot": String(slot), disabled: true,
      "aria-label": slot ? t("play_stimulus", {number: name}) : t("play_reference"), "aria-keyshortcuts": key});
    made.append(h("span", {class: "sign", "aria-hidden": "true"}), h("span", {class: "name"}, name));
    buttons.set(slot, made);
    return made;
  };
  const plays = h("div", {class: "plays"},
    reference ? play(0, t("reference"), "0") : "",
    names.map((name, i) => play(i + 1, name, name)));
  transport = new Transport(app, definition, state, playing);
  transport.element.addEventListener("loaded", () => {
    for (const each of buttons.values()) each.disabled = false;
  });
  const comment = commentBox(app, state.comment ?? "");
  const answers = h("fieldset", {class: "answers"},
    h("legend", {class: "visually-hidden"}, question),
    h("div", {class: "options"}, values.map(([value, key]) => h("label", {class: "option"},
      h("input", {type: "radio", name: "choice", value, ".checked": value === chosen, onchange: () => {
        chosen = value;
        app.emit("choose", {value});
        app.tell("");
      }}),
      h("span", {}, t(key))))));
  playing(null);
  return {
    content: [
      h("div", {class: "task"}, h("h1", {}, question)),
      definition.kind === "training" ? h("p", {class: "training-note"}, t("training_text")) : "",
      transport.element, plays, answers, comment.element,
    ],
    aside: comment.toggle,
    missing() {
      const unheard = [...buttons.keys()].filter((slot) => !transport.played.has(slot)).sort((a, b) => a - b);
      if (unheard.length) {
        const list = unheard.map((slot) => (slot === 0 ? t("reference") : names[slot - 1]));
        return t("missing_heard", {list: app.list(list)});
      }
      return chosen === null ? t("missing_choice") : null;
    },
    async leave() {
      comment.flush();
      await transport.leave();
    },
    gone: () => transport.gone(),
    keep: () => ({choice: chosen, played: [...transport.played], loop: transport.loop, comment: comment.value}),
    keys(event) {
      const letter = event.key.length === 1 ? names.indexOf(event.key.toUpperCase()) : -1;
      const slot = letter !== -1 ? letter + 1 : event.key === "0" && reference ? 0 : /^[123]$/.test(event.key) ? Number(event.key) : null;
      if (slot !== null && buttons.has(slot)) {
        if (!event.repeat && !buttons.get(slot).disabled) transport.play(slot);
        return true;
      }
      return transport.keys(event);
    },
  };
}
