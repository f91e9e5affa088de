// A short check that headphones are worn: the sides, the level by a tone, and tones in anti-phase.
//
// A tone whose right side is inverted is quiet over loudspeakers, where both sides meet in the air, and as loud as the
// others over headphones. Who hears it as the quietest of three, and not the one that is 6 dB lower, hears loudspeakers
// (Woods, Siegel, Traer, McDermott: Headphone screening to facilitate web-based auditory experiments, 2017).

import {button, h, paragraphs} from "./dom.js";

const SIDES = 4, QUIET = 6, NEEDED = 5;   // rounds of both checks, right answers of the second
const SIDE_HZ = 500, LEVEL_HZ = 1000, QUIET_HZ = 200;
const TONE_S = 0.9, GAP_S = 0.3, RAMP_S = 0.1;
const AMPLITUDE = 0.18, LOWER_DB = -6;

export function screening(app, definition, state) {
  const t = app.t.bind(app);
  const box = h("div", {class: "screening", "aria-live": "polite"});
  let context = null;
  let passed = state.screened ?? false;
  let finished = passed;
  let gone = false;

  /** Tones one after the other; each is {hz, left, right} with amplitudes. */
  async function play(tones) {
    context ??= new AudioContext();
    await context.resume();
    let at = context.currentTime + 0.1;
    for (const {hz, left, right} of tones) {
      const oscillator = new OscillatorNode(context, {frequency: hz});
      const merger = new ChannelMergerNode(context, {numberOfInputs: 2});
      const envelope = [0, 1].map((side) => {
        const gain = new GainNode(context, {gain: 0});
        const level = [left, right][side] * AMPLITUDE;
        gain.gain.setValueAtTime(0, at);
        gain.gain.linearRampToValueAtTime(level, at + RAMP_S);
        gain.gain.setValueAtTime(level, at + TONE_S - RAMP_S);
        gain.gain.linearRampToValueAtTime(0, at + TONE_S);
        oscillator.connect(gain).connect(merger, 0, side);
        return gain;
      });
      merger.connect(context.destination);
      oscillator.start(at);
      oscillator.stop(at + TONE_S);
      oscillator.onended = () => envelope.forEach((gain) => gain.disconnect());
      at += TONE_S + GAP_S;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * (at - context.currentTime)));
  }

  /** A question with its sound; resolves to the answer. */
  function question(text, progress, tones, answers) {
    return new Promise((resolve) => {
      const options = answers.map(([value, label]) => button(label, () => resolve(value), {class: "big", disabled: true, "data-answer": value}));
      const start = button(`▶ ${t("screening_play")}`, async () => {
        start.disabled = true;
        await play(tones);
        start.disabled = false;
        for (const option of options) option.disabled = false;
        if (!options.includes(document.activeElement)) options[0].focus();
      }, {class: "primary play-tones"});
      box.replaceChildren(h("h2", {}, text), h("p", {class: "hint"}, progress), h("div", {class: "row"}, start), h("div", {class: "row options"}, options));
      start.focus();
    });
  }

  async function sides(details) {
    const wanted = shuffled(["left", "right", "left", "right"]);
    for (let i = 0; i < SIDES; i++) {
      const tone = {hz: SIDE_HZ, left: wanted[i] === "left" ? 1 : 0, right: wanted[i] === "right" ? 1 : 0};
      const answer = await question(t("screening_sides"), t("step_of", {number: i + 1, count: SIDES}), [tone],
        [["left", t("screening_left")], ["both", t("screening_both")], ["right", t("screening_right")]]);
      details.sides.push([wanted[i], answer]);
    }
    return details.sides.every(([right, answer]) => right === answer);
  }

  function setLevel() {
    return new Promise((resolve) => {
      const tone = {hz: LEVEL_HZ, left: 1, right: 1};
      const start = button(`▶ ${t("screening_play")}`, async () => {
        start.disabled = true;
        await play([tone, tone, tone]);
        start.disabled = false;
        done.disabled = false;
      }, {class: "primary play-tones"});
      const done = button(t("screening_level_done"), () => resolve(), {class: "big", disabled: true, "data-answer": "set"});
      box.replaceChildren(h("h2", {}, t("screening_level")), h("div", {class: "row"}, start, done));
      start.focus();
    });
  }

  async function quietest(details) {
    let right = 0;
    for (let i = 0; i < QUIET; i++) {
      const lower = 10 ** (LOWER_DB / 20);
      const tones = shuffled([
        {hz: QUIET_HZ, left: 1, right: 1, kind: "plain"},
        {hz: QUIET_HZ, left: 1, right: -1, kind: "antiphase"},
        {hz: QUIET_HZ, left: lower, right: lower, kind: "lower"},
      ]);
      const answer = await question(t("screening_quiet"), t("step_of", {number: i + 1, count: QUIET}), tones,
        ["first", "second", "third"].map((name, place) => [String(place), t(`screening_${name}`)]));
      details.quietest.push([tones.map((tone) => tone.kind), Number(answer)]);
      right += tones[Number(answer)].kind === "lower";
    }
    return right >= NEEDED;
  }

  async function run() {
    const details = {sides: [], quietest: []};
    finished = false;
    const sidesRight = await sides(details);
    if (gone) return;
    await setLevel();
    const quietRight = await quietest(details);
    if (gone) return;
    passed = sidesRight && quietRight;
    finished = true;
    app.emit("screening", {passed, details});
    if (passed) box.replaceChildren(h("p", {class: "good-mark"}, t("screening_passed")));
    else {
      box.replaceChildren(h("section", {class: "warning-box", role: "alert"}, h("p", {}, t("screening_failed"))),
        button(t("again"), run, {class: "primary"}));
    }
    document.getElementById("next")?.focus();
  }

  if (passed) box.append(h("p", {class: "good-mark"}, t("screening_passed")));
  else box.append(h("div", {class: "row"}, button(t("start"), run, {class: "primary", id: "screening-start"})));
  return {
    content: [h("h1", {}, t("screening_title")), ...paragraphs(t("screening_text")), box],
    missing: () => (finished ? null : t("screening_missing")),
    gone() {
      gone = true;
      context?.close();
    },
  };
}

function shuffled(list) {
  const result = [...list];
  for (let i = result.length - 1; i > 0; i--) {
    const j = crypto.getRandomValues(new Uint32Array(1))[0] % (i + 1);
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}
