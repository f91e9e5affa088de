// The sound output: what was found, what is needed, which signal goes to which output, and the size of the screen.

import {button, h, paragraphs} from "./dom.js";
import {outputMapTable} from "./output_map.js";
import {CARD_MM, keepCard, scaleLength, screen} from "./screen.js";

export function device(app) {
  const t = app.t.bind(app);
  let fits = false;
  let map = app.session.state.device?.output_map ?? null;
  let found = null;
  const result = h("div", {class: "device", "aria-live": "polite"});
  const check = button(t("device_check"), () => run(), {class: "primary", id: "check"});

  async function run() {
    check.disabled = true;
    fits = false;
    app.tell("");
    result.replaceChildren(h("p", {class: "hint"}, t("device_checking")));
    try {
      await app.sound.close();
      app.native = await app.sound.nativeIsConnected();
      app.session.state.device = {...app.session.state.device, native: app.native};
      const player = await app.sound.open({outputMap: map ?? undefined});
      found = await player.probe();
      const maps = Object.values(found.outputMaps);
      map ??= app.native ? maps[0] : maps.at(-1);   // browsers have an order of their own where it is another one
      player.setOutputMap?.(map);
      fits = true;
      report();
      good();
    } catch (error) {
      console.error(error);
      refusal(error);
    }
    check.disabled = false;
  }

  function report() {
    const fields = {
      sample_rate_hz: found.sampleRate, max_channels: found.maxChannels, output_map: map,
      transducer: app.transducer(), browser: found.browser, base_latency_s: found.baseLatency ?? null,
      output_latency_s: found.outputLatency ?? null, native: app.native,
    };
    app.session.state.device = fields;
    app.emit("device", fields);
  }

  function good() {
    const {layout, audio} = app.session;
    result.replaceChildren(
      h("p", {class: "good-mark"}, t("device_good")),
      facts(found.maxChannels, found.sampleRate),
      audio.channels > 2 ? outputMapTable(app, {layout, found, map, onchange: (changed) => {
        map = changed;
        app.sound.player?.setOutputMap(changed);
        report();
      }}) : "");
    check.textContent = t("again");
    check.classList.remove("primary");
    document.getElementById("next")?.focus();
  }

  function facts(channels, rate) {
    const {audio} = app.session;
    return h("table", {class: "facts"},
      h("thead", {}, h("tr", {}, h("td"), h("th", {scope: "col"}, t("device_found")), h("th", {scope: "col"}, t("device_needed")))),
      h("tbody", {},
        h("tr", {}, h("th", {scope: "row"}, t("device_channels")), h("td", {}, channels), h("td", {}, audio.channels)),
        h("tr", {}, h("th", {scope: "row"}, t("device_rate")), h("td", {}, `${app.number(rate)} Hz`), h("td", {}, `${app.number(audio.sample_rate_hz)} Hz`))));
  }

  function refusal(error) {
    const texts = {channels: "device_few", rate: "device_wrong_rate", suspended: "device_suspended", insecure: "lacks_secure"};
    const key = texts[error.code];
    const shown = (value) => (typeof value === "number" ? app.number(value) : value);
    const text = key ? t(key, {found: shown(error.found), needed: shown(error.needed)}) : t("sound_error", {why: error.message});
    const instead = app.transducer() === "loudspeakers" && app.transducers().includes("headphones")
      ? h("div", {class: "instead"}, h("p", {}, t("device_headphones_text")),
        button(t("device_headphones_instead"), () => app.chooseTransducer("headphones"), {id: "headphones"})) : "";
    result.replaceChildren(h("section", {class: "warning-box", role: "alert"}, h("h2", {}, t("device_unfit")), h("p", {}, text)), instead);
    check.textContent = t("again");
  }

  return {
    content: [
      h("h1", {}, t("device_title")),
      ...paragraphs(t(app.native ? "device_native" : "device_text")),
      transducerChoice(app),
      h("div", {class: "row"}, check),
      result,
      calibration(app),
    ],
    async missing() {
      if (!fits) await run();   // the key for "next" checks first
      return fits ? null : t("device_unfit");
    },
  };
}

function transducerChoice(app) {
  const t = app.t.bind(app);
  if (app.transducers().length < 2) {
    return h("p", {class: "hint"}, `${t("transducer")}: ${t(`transducer_${app.transducer()}`)}`);
  }
  return h("fieldset", {class: "field"}, h("legend", {}, t("transducer")), h("div", {class: "options"},
    app.transducers().map((name) => h("label", {class: "option"},
      h("input", {type: "radio", name: "transducer", value: name, ".checked": name === app.transducer(),
        onchange: () => app.chooseTransducer(name)}),
      h("span", {}, t(`transducer_${name}`))))));
}

/** A frame that the listener makes as wide as a bank card, so that the scale has its length on this screen. */
function calibration(app) {
  const t = app.t.bind(app);
  const card = h("div", {class: "card", "aria-hidden": "true"}, h("span", {class: "chip-mark"}));
  const length = h("p", {class: "hint", role: "status"});
  const nominal = Math.round(CARD_MM * screen().pxPerMm);
  const slider = h("input", {type: "range", min: "120", max: "900", step: "1", ".value": String(nominal),
    "aria-label": t("calibrate_width"), id: "card", oninput: () => {
      keepCard(Number(slider.value));
      show();
    }});
  function show() {
    const {pxPerMm, measured} = screen();
    card.style.width = `${CARD_MM * pxPerMm}px`;
    const centimetres = app.number(scaleLength() / pxPerMm / 10, 1);
    length.textContent = t(measured ? "calibrate_length" : "calibrate_nominal", {length: centimetres});
  }
  show();
  return h("details", {class: "calibration"}, h("summary", {}, t("calibrate_title")),
    h("p", {}, t("calibrate_text")), slider, card, length);
}
