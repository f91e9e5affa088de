// Each loudspeaker alone, with its name and its place in the room; to be confirmed.

import {button, h, paragraphs} from "./dom.js";
import {outputMapTable} from "./output_map.js";
import {isHeadphone, roomDrawing, speakerName} from "./room.js";

export function channels(app, definition, state) {
  const t = app.t.bind(app);
  const list = app.session.layout.channels;
  const headphones = app.transducer() === "headphones";
  const played = new Set();
  let confirmed = state.confirmed?.includes(headphones ? "headphones" : "channels") ?? false;
  let now = null;
  let ready = null;

  const buttons = list.map((channel, index) => {
    const made = button("", () => toggle(index), {class: "speaker-button", "data-channel": String(index)});
    made.append(h("span", {class: "index"}, String(index + 1)),
      h("span", {class: "name"}, speakerName(app, channel)),
      h("span", {class: "label"}, isHeadphone(channel) ? "" : channel.label),
      h("span", {class: "sign", "aria-hidden": "true"}));
    return made;
  });
  const drawing = headphones ? null : roomDrawing(app, list, toggle);
  const count = h("p", {class: "hint", role: "status"});
  const loading = h("p", {class: "loading", role: "status"});
  const nextOne = button(t("channels_next"), () => {
    const from = now === null ? -1 : now;
    const order = [...list.keys()].map((i) => (from + 1 + i) % list.length);
    play(order.find((i) => !played.has(i)) ?? order[0]);
  }, {class: "primary", id: "play-next"});
  const box = h("input", {type: "checkbox", id: "confirm", ".checked": confirmed, onchange: () => {
    if (box.checked && played.size < list.length && !confirmed) {
      box.checked = false;
      app.tell(missingText());
      return;
    }
    confirmed = box.checked;
    app.tell("");
    if (confirmed) app.emit("confirm", {what: headphones ? "headphones" : "channels"});
  }});

  function missingText() {
    const names = list.map((_, i) => i).filter((i) => !played.has(i)).map((i) => String(i + 1));
    return t("channels_missing", {list: app.list(names)});
  }

  async function load() {
    loading.textContent = t("loading", {percent: 0});
    await app.sound.loadSignal("identification");
    loading.textContent = "";
  }

  async function play(index) {
    try {
      ready ??= load();
      await ready;
    } catch (error) {
      ready = null;
      loading.textContent = t("sound_error", {why: error.message});
      return;
    }
    app.sound.player.identify(index);
    now = index;
    played.add(index);
    app.say(speakerName(app, list[index]));
    show();
  }

  function toggle(index) {
    if (now === index) {
      app.sound.stop();
      now = null;
      show();
    } else play(index);
  }

  function show() {
    buttons.forEach((made, i) => {
      made.setAttribute("aria-pressed", String(i === now));
      made.classList.toggle("played", played.has(i));
      made.querySelector(".sign").textContent = i === now ? "♪" : played.has(i) ? "✓" : "▶";
    });
    drawing?.marks.forEach((mark, i) => {
      mark.classList.toggle("sounding", i === now);
      mark.classList.toggle("played", played.has(i));
    });
    count.textContent = t("channels_count", {count: played.size, total: list.length});
  }

  show();
  const map = h("div");
  if (!headphones && list.length > 2) {
    app.sound.open().then((player) => player.probe()).then((found) => map.replaceChildren(outputMapTable(app, {
      layout: app.session.layout, found, map: app.session.state.device?.output_map ?? list.map((_, i) => i),
      onchange: (changed) => {
        app.sound.player?.setOutputMap(changed);
        app.session.state.device = {...app.session.state.device, output_map: changed};
        app.emit("device", app.session.state.device);
        played.clear();
        confirmed = false;
        box.checked = false;
        show();
      },
    }))).catch((error) => (loading.textContent = t("sound_error", {why: error.message})));
  }
  return {
    content: [
      h("h1", {}, t(headphones ? "channels_title_headphones" : "channels_title")),
      ...paragraphs(t(headphones ? "channels_text_headphones" : "channels_text")),
      h("div", {class: "room-and-list"}, drawing?.element ?? "",
        h("div", {}, h("div", {class: "row"}, nextOne, count), loading, h("div", {class: "speaker-list"}, buttons))),
      h("label", {class: "check"}, box, h("span", {}, t("channels_right"))),
      map,
    ],
    missing: () => {
      if (confirmed) return null;
      return played.size < list.length ? missingText() : t("channels_confirm_missing");
    },
    leave: () => app.sound.stop(),
    gone: () => app.sound.stop(),
    keys(event) {
      if (event.key !== " ") return false;
      if (now === null) nextOne.click();
      else toggle(now);
      return true;
    },
  };
}
