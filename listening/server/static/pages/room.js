// Names of loudspeakers, and a drawing of the room seen from above.

import {h, svg} from "./dom.js";

const EAR_DEG = 15;       // up to this elevation a loudspeaker stands at ear height
const OVERHEAD_DEG = 75;

/** "Front left, above", from the direction; azimuth is anticlockwise. */
export function speakerName(app, channel) {
  const t = app.t.bind(app);
  if (channel.is_lfe) return t("of_lfe");
  if (isHeadphone(channel)) return t(channel.azimuth_deg >= 0 ? "left_ear" : "right_ear");
  if (channel.elevation_deg >= OVERHEAD_DEG) return t("direction_top");
  const sector = ((Math.round(channel.azimuth_deg / 45) % 8) + 8) % 8;
  const direction = t(`direction_${sector}`);
  const layer = layerOf(channel);
  return layer === "middle" ? direction : t(`of_${layer}`, {direction});
}

export function isHeadphone(channel) {
  return /^(headphone|ear|left$|right$|L$|R$)/i.test(channel.label) || channel.is_headphone === true;
}

function layerOf(channel) {
  if (channel.is_lfe) return "lfe";
  if (channel.elevation_deg > EAR_DEG) return "upper";
  return channel.elevation_deg < -EAR_DEG ? "lower" : "middle";
}

/**
 * Plan of the room; a click on a loudspeaker calls onplay(index).
 *
 * Layers differ by shape, by distance from the middle and by a sign, not by colour alone.
 */
export function roomDrawing(app, channels, onplay) {
  const t = app.t.bind(app);
  const radius = {middle: 150, upper: 92, lower: 178, lfe: 150};
  const marks = channels.map((channel, index) => {
    const layer = layerOf(channel);
    const angle = (channel.azimuth_deg * Math.PI) / 180;
    const r = channel.elevation_deg >= OVERHEAD_DEG ? 0 : radius[layer];
    const [x, y] = [-Math.sin(angle) * r, -Math.cos(angle) * r];
    const mark = svg("g", {class: `speaker ${layer}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, onclick: () => onplay(index)},
      svg("circle", {class: "hit", r: 24}), shape(layer, channel.azimuth_deg),
      svg("text", {class: "index", y: 5}, String(index + 1)),
      svg("circle", {class: "wave-1", r: 22}), svg("circle", {class: "wave-2", r: 27}));
    return mark;
  });
  const drawing = svg("svg", {class: "room", viewBox: "-215 -215 430 430", role: "img", "aria-label": t("drawing")},
    svg("rect", {class: "walls", x: -205, y: -205, width: 410, height: 410, rx: 10}),
    svg("circle", {class: "ring", r: radius.middle}), svg("circle", {class: "ring inner", r: radius.upper}),
    svg("text", {class: "front", y: -185}, t("drawing_front")),
    svg("path", {class: "head", d: "M0 -24 L7 -17 A18 18 0 1 1 -7 -17 Z"}),
    ...marks);
  const layers = ["middle", "upper", "lower", "lfe"].filter((layer) => channels.some((channel) => layerOf(channel) === layer));
  const legend = h("ul", {class: "legend"}, layers.map((layer) =>
    h("li", {}, svg("svg", {viewBox: "-20 -20 40 40", "aria-hidden": "true"}, svg("g", {class: `speaker ${layer}`}, shape(layer, 0))), t(`legend_${layer}`))));
  return {element: h("figure", {}, drawing, legend), marks};
}

function shape(layer, azimuth) {
  if (layer === "upper") return svg("path", {class: "body", d: "M0 -19 L18 13 L-18 13 Z"});
  if (layer === "lower") return svg("path", {class: "body", d: "M0 19 L18 -13 L-18 -13 Z"});
  if (layer === "lfe") return svg("circle", {class: "body", r: 16});
  return svg("rect", {class: "body", x: -16, y: -14, width: 32, height: 28, rx: 3, transform: `rotate(${-azimuth})`});
}
