// The listener's level: the noise and the tone of the package, and an adjustment within the range of the plan.

import {button, h, paragraphs} from "./dom.js";

const STEP_DB = 0.5;

export function level(app) {
  const t = app.t.bind(app);
  const range = app.session.plan.level_range_db;
  const headphones = app.transducer() === "headphones";
  let now = null;
  let loaded = null;
  let turn = 0;
  const loading = h("p", {class: "loading", role: "status"});
  const names = ["level", "tone"].filter((name) => app.session.signals[name]);
  const labels = {level: t("level_noise"), tone: t("level_tone")};
  const buttons = names.map((name) => {
    const made = button("", () => toggle(name), {class: "play big", "aria-label": labels[name]});
    made.append(h("span", {class: "sign", "aria-hidden": "true"}), h("span", {class: "name"}, labels[name]));
    return made;
  });
  const number = h("span", {class: "level-number", "aria-hidden": "true"});
  const slider = h("input", {type: "range", id: "level", min: -range, max: range, step: STEP_DB,
    ".value": String(app.session.state.level_db ?? 0), "aria-label": t("level_adjust"), oninput: () => {
      const db = Number(slider.value);
      app.session.state.level_db = db;
      app.sound.player?.setLevel(db);
      app.emit("level", {db});
      show();
    }});

  async function toggle(name) {
    turn += 1;
    const mine = turn;
    if (now === name) {
      app.sound.stop();
      now = null;
      show();
      return;
    }
    try {
      if (loaded !== name) {
        app.sound.stop();
        loading.textContent = t("loading", {percent: 0});
        await app.sound.loadSignal(name);
        loaded = name;
      }
      loading.textContent = "";
      if (mine !== turn) return;
      const player = app.sound.player;
      player.setLevel(app.session.state.level_db ?? 0);
      if (name === "level") player.setLoop(0, player.frames);
      now = name;
      app.sound.onstate = ({playing}) => {
        if (playing === null && now === "tone" && name === "tone") {
          now = null;
          show();
        }
      };
      player.play(name, 0);
      show();
    } catch (error) {
      loading.textContent = t("sound_error", {why: error.message});
    }
  }

  function show() {
    buttons.forEach((made, i) => {
      made.setAttribute("aria-pressed", String(names[i] === now));
      made.querySelector(".sign").textContent = names[i] === now ? "■" : "▶";
    });
    const db = Number(slider.value);
    const text = t("level_db", {db: `${db > 0 ? "+" : db < 0 ? "−" : "±"}${app.number(Math.abs(db), 1)}`});
    number.textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }

  show();
  return {
    content: [
      h("h1", {}, t("level_title")),
      ...paragraphs(t(headphones ? "level_text_headphones" : "level_text")),
      h("div", {class: "plays"}, buttons), loading,
      range > 0 ? h("div", {class: "level"}, h("span", {}, t("level_adjust")), slider, number) : "",
    ],
    leave: () => app.emit("confirm", {what: "level"}),
    gone() {
      app.sound.onstate = null;
      app.sound.stop();
    },
    keys(event) {
      if (event.key === " ") {
        toggle(now ?? names[0]);
        return true;
      }
      const step = {ArrowUp: STEP_DB, ArrowRight: STEP_DB, ArrowDown: -STEP_DB, ArrowLeft: -STEP_DB}[event.key];
      if (step === undefined || event.target === slider) return false;
      slider.value = String(Number(slider.value) + step);
      slider.dispatchEvent(new Event("input"));
      return true;
    },
  };
}
