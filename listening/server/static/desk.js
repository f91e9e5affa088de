// The desk: shows every two seconds who is where and what went wrong, and changes the test.
// Rows are changed in place, so that the focus and the place of a screen reader stay where they are.

import {button, h, newId} from "./pages/dom.js";

const EVERY_MS = 2000;
const AWAY_MS = 15_000;
const GONE_MS = 60_000;

const KINDS = {
  welcome: "welcome", consent: "consent", questionnaire: "questionnaire", device: "device check",
  channels: "loudspeaker check", level: "level", screening: "screening", instruction: "instruction",
  training: "training", trial: "trial", break: "break", comments: "comments", end: "end",
};
const PROBLEMS = {storage: "Storage", audio: "Audio", defect: "Defect"};

const $ = (id) => document.getElementById(id);
const rows = new Map(); // listener -> cells of his row
let known = []; // newest overview
let aheadMs = 0; // server's clock minus this one's
let answeredMs = null;
let announced = "";

async function answer(path, body) {
  const options = body === undefined ? {} : {method: "POST", body: JSON.stringify(body)};
  const response = await fetch(path, {cache: "no-store", signal: AbortSignal.timeout(10_000), ...options});
  const date = Date.parse(response.headers.get("date"));
  if (Number.isFinite(date)) aheadMs = date - Date.now();
  const text = await response.text();
  let content = {};
  try {
    content = JSON.parse(text);
  } catch {
    // not JSON: a refusal, or a proxy's page
  }
  if (!response.ok) throw new Error(content.why ?? content.error ?? `the server answers with status ${response.status}`);
  return content;
}

function say(text) {
  $("announcement").textContent = text;
}

/** Change a text only where it differs: a screen reader is not told the same again. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---------------------------------------------------------------------------------------------- what is shown

function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 5) return "now";
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  return `${Math.round(s / 3600)} h ago`;
}

function duration(s) {
  if (s === null) return "";
  if (s < 90) return `${s} s`;
  return s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

function stage(row) {
  if (row.withdrawn !== null) return "withdrawn";
  if (row.finished) return "finished";
  return row.last_seen === null ? "to come" : "here";
}

function place(row) {
  const where = stage(row);
  if (where !== "here") return where;
  const kind = KINDS[row.kind] ?? row.kind;
  return row.kind === "trial" ? `trial ${row.trials_done + 1} of ${row.trials}` : `${kind}, page ${row.page + 1} of ${row.pages}`;
}

function device(row) {
  const found = row.device ?? {};
  const map = Array.isArray(found.output_map) ? found.output_map.map((c) => (c === null ? "-" : c + 1)).join(" ") : found.output_map;
  return [
    found.native && "native player",
    found.max_channels && `${found.max_channels} channels`,
    found.sample_rate_hz && `${found.sample_rate_hz / 1000} kHz`,
    map && `map ${map}`,
    found.browser,
    row.level_db ? `level ${row.level_db > 0 ? "+" : "−"}${Math.abs(row.level_db)} dB` : null,
  ].filter(Boolean).join(" · ");
}

function newRow(name) {
  const cell = (label, ...children) => h("td", {role: "cell", "data-label": label}, ...children);
  const cells = {
    where: h("span", {class: "where"}), count: h("span"), bar: h("progress", {"aria-label": `trials of ${name}`}), left: h("span"),
    underruns: h("span"), seen: h("span"), transducer: h("span"), device: h("span", {class: "hint"}),
    copy: button("Copy", () => copy(name), {"aria-label": `Copy the link of ${name}`}),
    code: button("QR code", () => showCode(name), {"aria-label": `Show the QR code of ${name}`}),
    withdraw: button("Withdraw …", () => withdraw(name), {class: "quiet", "aria-label": `Withdraw ${name}`}),
  };
  cells.row = h("tr", {role: "row"},
    h("th", {scope: "row", role: "rowheader"}, name),
    cell("Where", cells.where),
    cell("Trials", cells.count, cells.bar),
    cell("Time left", cells.left),
    cell("Underruns", cells.underruns),
    cell("Last seen", cells.seen),
    cell("Transducer, device", cells.transducer, cells.device),
    h("td", {role: "cell", class: "actions"}, cells.copy, cells.code, cells.withdraw));
  return cells;
}

function showRow(row, nowMs) {
  if (!rows.has(row.listener)) {
    rows.set(row.listener, newRow(row.listener));
    $("rows").append(rows.get(row.listener).row);
  }
  const cells = rows.get(row.listener);
  const where = stage(row);
  const silentMs = row.last_seen === null ? 0 : nowMs - row.last_seen;
  cells.row.className = where.replace(" ", "-");
  put(cells.where, place(row));
  cells.where.classList.toggle("done", where === "finished");
  put(cells.count, `${row.trials_done} of ${row.trials}`);
  cells.bar.max = Math.max(1, row.trials);
  cells.bar.value = row.trials_done;
  put(cells.left, where === "here" ? duration(row.time_left_s) : "");
  put(cells.underruns, String(row.underruns));
  cells.underruns.classList.toggle("warns", row.underruns > 0);
  put(cells.seen, row.last_seen === null ? "" : ago(silentMs) + (where === "here" && silentMs > AWAY_MS ? ", away" : ""));
  cells.seen.classList.toggle("warns", where === "here" && silentMs > GONE_MS);
  put(cells.transducer, row.transducer || "");
  put(cells.device, device(row));
  for (const name of ["copy", "code"]) cells[name].hidden = where === "withdrawn" || where === "finished";
  cells.withdraw.hidden = where === "withdrawn";
}

function showOverview(overview) {
  known = overview;
  const nowMs = Date.now() + aheadMs;
  for (const row of overview) showRow(row, nowMs);
  const paused = overview.some((row) => row.paused);
  put($("running"), paused ? "paused" : "running");
  $("running").className = paused ? "paused" : "on";
  put($("pause"), paused ? "Go on with the test" : "Pause the test");
  $("pause").hidden = false;
  const count = (wanted) => overview.filter((row) => stage(row) === wanted).length;
  const parts = ["here", "to come", "finished", "withdrawn"].map((name) => [count(name), name === "here" ? "under way" : name]);
  put($("summary"), parts.filter(([number]) => number).map(([number, name]) => `${number} ${name}`).join(", "));
  $("print").disabled = count("to come") === 0;
}

/** Alarms above everything; what only is to be known below them (underruns stand in the table). */
function showProblems(all) {
  const problems = all.filter((problem) => problem.last !== null);
  const notes = all.filter((problem) => problem.kind === "note");
  $("notes").hidden = notes.length === 0;
  $("notes").querySelector("ul").replaceChildren(...notes.map((note) => h("li", {}, note.what)));
  $("problems").hidden = problems.length === 0;
  const nowMs = Date.now() + aheadMs;
  $("problems").querySelector("ul").replaceChildren(...problems.map((problem) => {
    const at = new Date(problem.last);
    const times = problem.times > 1 ? `, ${problem.times} times since ${new Date(problem.first).toLocaleTimeString()}` : "";
    return h("li", {},
      h("strong", {}, `${PROBLEMS[problem.kind] ?? problem.kind}${problem.listener ? ` (${problem.listener})` : ""}: `),
      problem.what,
      h("span", {class: "when"}, ` — ${at.toLocaleTimeString()} (${ago(nowMs - at)})${times}`));
  }));
  // The list changes with the clock; what is read aloud only with the problems
  const told = problems.map((problem) => `${PROBLEMS[problem.kind] ?? problem.kind}: ${problem.what}`).join(" ");
  if (told !== announced) $("alarm-announcement").textContent = announced = told;
  document.title = problems.length ? `⚠ ${problems.length} problem${problems.length > 1 ? "s" : ""} – Desk` : "Desk";
}

function showUnreachable(error) {
  const since = answeredMs === null ? "" : ` since ${new Date(answeredMs).toLocaleTimeString()}; what is shown is of then`;
  put($("unreachable"), error ? `The server does not answer${since} (${error.message}). The test may be down: look at the server.` : "");
  $("unreachable").hidden = !error;
  if (error) document.title = "⚠ No answer – Desk";
}

async function update() {
  try {
    const [overview, problems] = await Promise.all([answer("api/overview"), answer("api/problems")]);
    answeredMs = Date.now();
    showOverview(overview);
    showProblems(problems);
    put($("updated"), `updated ${new Date(answeredMs).toLocaleTimeString()}`);
    showUnreachable(null);
  } catch (error) {
    showUnreachable(error);
  }
}

// ---------------------------------------------------------------------------------------------- what is done

/** Dialog with a heading; resolves to the value with which it was closed. */
function dialog(title, ...children) {
  const heading = newId("dialog");
  return new Promise((resolve) => {
    const element = h("dialog", {"aria-labelledby": heading, onclose: () => {
      element.remove();
      resolve(element.returnValue);
    }}, h("h2", {id: heading}, title), ...children);
    document.body.append(element);
    element.showModal();
  });
}

function closing(value) {
  return (event) => event.currentTarget.closest("dialog").close(value);
}

async function change(path, body, done) {
  try {
    const result = await answer(path, body);
    say(done(result));
  } catch (error) {
    await dialog("This could not be done", h("p", {}, error.message), h("div", {class: "row buttons"}, button("Close", closing(""))));
  }
  await update();
}

function pause() {
  const on = !known.some((row) => row.paused);
  return change("api/pause", {on}, () => (on ? "The test is paused for all listeners." : "The test goes on."));
}

async function withdraw(name) {
  const chosen = await dialog(`Withdraw ${name}?`,
    h("p", {}, `The session of ${name} ends at once and his or her link no longer works. Everything that was rated stays in the ` +
      "database; the results leave it out. This cannot be taken back."),
    h("div", {class: "row buttons"},
      button("Keep", closing("keep"), {autofocus: true}),
      button(`Withdraw ${name}`, closing("withdraw"), {class: "danger"})));
  if (chosen === "withdraw") await change("api/withdraw", {listener: name}, () => `${name} is withdrawn.`);
}

function add() {
  return change("api/listeners", {}, ({listener}) => `${listener} is added.`);
}

function linkOf(name) {
  return known.find((row) => row.listener === name).link;
}

async function copy(name) {
  try {
    await navigator.clipboard.writeText(linkOf(name));
  } catch {
    // No clipboard without TLS, or not allowed: the link is shown, to be copied by hand
    return showCode(name);
  }
  say(`The link of ${name} is copied.`);
  const {copy: pressed} = rows.get(name);
  pressed.textContent = "Copied";
  setTimeout(() => { pressed.textContent = "Copy"; }, 1500);
}

function showCode(name) {
  return dialog(`Link of ${name}`,
    h("img", {src: `api/qr/${name}.svg`, alt: `QR code with the link of ${name}`}),
    h("input", {readonly: true, ".value": linkOf(name), "aria-label": `Link of ${name}`, onfocus: (event) => event.target.select()}),
    h("div", {class: "row buttons"}, button("Close", closing(""), {autofocus: true})));
}

/** A sheet of paper: name, QR code and link of everybody who is to come. */
async function print() {
  const coming = known.filter((row) => stage(row) === "to come");
  const images = coming.map((row) => h("img", {src: `api/qr/${row.listener}.svg`, alt: ""}));
  $("sheet").replaceChildren(...coming.map((row, at) =>
    h("article", {}, images[at], h("div", {}, h("h2", {}, row.listener), h("p", {}, row.link)))));
  await Promise.all(images.map((image) => image.decode().catch(() => null)));
  window.print();
}

/** Save a file of the server, or say why there is none. */
async function download(event) {
  event.preventDefault();
  const link = event.currentTarget;
  const name = link.getAttribute("href").split("/").at(-1);
  try {
    const response = await fetch(link.href, {cache: "no-store"});
    if (!response.ok) throw new Error((await response.json()).why ?? `status ${response.status}`);
    const url = URL.createObjectURL(await response.blob());
    h("a", {href: url, download: name}).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    say(`${name} is saved.`);
  } catch (error) {
    await dialog(`${name} could not be made`, h("p", {}, error.message), h("div", {class: "row buttons"}, button("Close", closing(""))));
  }
}

for (const link of document.querySelectorAll(".download")) link.addEventListener("click", download);
$("pause").addEventListener("click", pause);
$("add").addEventListener("click", add);
$("print").addEventListener("click", print);
for (;;) {
  await update();
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
}
