// Size of the screen. A centimetre of CSS is nominal; a bank card of 85.60 mm (ISO/IEC 7810 ID-1) tells the true one.

export const CARD_MM = 85.6;
const CSS_PX_PER_MM = 96 / 25.4;
const SCALE_MM = 102;   // BS.1534-3, clause 9.3: at least 100 mm
const KEY = "listening-screen";

/** CSS pixels of a millimetre on this screen, at the present zoom, and whether that is measured. */
export function screen() {
  try {
    const {pxPerMm, ratio} = JSON.parse(localStorage.getItem(KEY));
    if (pxPerMm > 1 && pxPerMm < 40) return {pxPerMm: (pxPerMm * ratio) / devicePixelRatio, measured: true};
  } catch {
    // not measured yet
  }
  return {pxPerMm: CSS_PX_PER_MM, measured: false};
}

/** Keep how wide the card is in CSS pixels. */
export function keepCard(widthPx) {
  try {
    localStorage.setItem(KEY, JSON.stringify({pxPerMm: widthPx / CARD_MM, ratio: devicePixelRatio}));
  } catch {
    // the nominal size is used
  }
  scaleToScreen();
}

/** Length of the scale in CSS pixels. */
export function scaleLength() {
  return Math.ceil(SCALE_MM * screen().pxPerMm);
}

/** Give the style sheet the length of the scale, also after a change of the zoom. */
export function scaleToScreen() {
  const set = () => document.documentElement.style.setProperty("--scale-length", `${scaleLength()}px`);
  set();
  addEventListener("resize", set);
}
