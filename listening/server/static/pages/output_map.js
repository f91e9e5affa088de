// Which channel of the files goes to which output of the device: shown, and changeable.

import {h} from "./dom.js";
import {speakerName} from "./room.js";

/** The player's names of arrangements, in the listener's language. */
function presetName(t, name) {
  if (name.startsWith("identity")) return t("map_identity");
  return name.startsWith("rears") ? t("map_rears") : name;
}

/**
 * @param {object} options
 *   layout; found: what the player found; map: device channel -> channel of the files or null;
 *   onchange(map) after each change.
 */
export function outputMapTable(app, {layout, found, map, onchange}) {
  const t = app.t.bind(app);
  const presets = Object.entries(found.outputMaps);
  const outputs = Math.max(map.length, Math.min(found.maxChannels, 32));
  let current = [...map];
  const preset = h("select", {id: "map-preset", "aria-label": t("map_preset"), onchange: () => {
    const chosen = presets.find(([name]) => name === preset.value);
    if (chosen) change([...chosen[1]]);
  }}, presets.map(([name]) => h("option", {value: name}, presetName(t, name))), h("option", {value: "", disabled: true}, t("map_own")));
  const selects = layout.channels.map((channel, index) => h("select", {
    "aria-label": t("map_output_of", {signal: channel.label}),
    onchange: (event) => {
      const changed = Array.from({length: outputs}, (_, output) => (current[output] === index ? null : current[output] ?? null));
      // the outputs change places, so that every signal is still heard
      const before = current.indexOf(index);
      if (before !== -1) changed[before] = changed[Number(event.target.value)];
      changed[Number(event.target.value)] = index;
      while (changed.length && changed.at(-1) === null) changed.pop();
      change(changed);
    }}, Array.from({length: outputs}, (_, output) => h("option", {value: output}, t("map_output", {number: output + 1})))));

  function change(changed) {
    current = changed;
    show();
    onchange(current);
  }

  function show() {
    const same = presets.find(([, list]) => JSON.stringify(list) === JSON.stringify(current));
    preset.value = same ? same[0] : "";
    selects.forEach((select, index) => (select.value = String(current.indexOf(index))));
  }

  show();
  return h("details", {class: "map"}, h("summary", {}, t("map_title")),
    h("p", {}, t("map_text")),
    h("label", {class: "row"}, h("span", {}, t("map_preset")), preset),
    h("div", {class: "map-grid"}, layout.channels.map((channel, index) =>
      h("div", {class: "map-row"}, h("span", {}, h("strong", {}, channel.label), ` ${speakerName(app, channel)}`), selects[index]))));
}
