// The keys of the page that is shown.

import {h} from "./dom.js";

/** Table of the keys that act on this page. */
export function helpTable(app) {
  const {t, definition, session} = {t: app.t.bind(app), definition: app.definition, session: app.session};
  const trial = ["trial", "training"].includes(definition.kind);
  const pairs = ["ab", "abx"].includes(session.method);
  const rows = [];
  if (trial) {
    if (session.method === "mushra") rows.push([["1", "…", "9"], "help_digits"]);
    else rows.push([session.method === "abx" ? ["A", "B", "X"] : session.method === "ab" ? ["A", "B"] : ["A", "B", "C"], "help_letters"]);
    if (definition.reference) rows.push([["0"], "help_zero"]);
    rows.push([[t("key_space")], "help_space"]);
    if (!pairs) {
      rows.push([["↑", "↓"], "help_arrows"]);
      rows.push([[t("key_page_up"), t("key_page_down")], "help_pages"]);
      rows.push([[t("key_home"), t("key_end")], "help_ends"]);
    }
    rows.push([["L"], "help_loop"], [["I", "O"], "help_loop_ends"]);
    rows.push([[`${t("key_shift")} + ←`, `${t("key_shift")} + →`], "help_seek"]);
  }
  rows.push([[t("key_enter")], "help_next"], [["?"], "help_help"]);
  return h("table", {}, h("tbody", {}, rows.map(([keys, text]) =>
    h("tr", {},
      h("th", {scope: "row"}, keys.flatMap((key) => (key === "…" ? [" … "] : [h("kbd", {}, key), " "]))),
      h("td", {}, t(text))))));
}
