// Pages of words: welcome, consent, questionnaire, instruction, break, comments, end.

import {button, h, newId, paragraphs} from "./dom.js";

const COMMENT_MS = 600;
const LONGEST = 4000;   // characters of a text

export function welcome(app) {
  const t = app.t.bind(app);
  const lacks = missingFeatures(app);
  const warning = lacks.length
    ? h("section", {class: "warning-box", role: "alert"},
      h("h2", {}, t("welcome_lacks")), h("ul", {}, lacks.map((text) => h("li", {}, text))), h("p", {}, t("use_instead")))
    : "";
  const languages = Object.entries(app.session.languages);
  const select = languages.length > 1 ? languageChoice(app, languages) : "";
  return {content: [h("h1", {}, t("welcome_title")), select, ...paragraphs(t("welcome_text")), warning],
    next: lacks.length ? null : t("continue")};
}

function languageChoice(app, languages) {
  const name = newId("language");
  return h("fieldset", {class: "languages"}, h("legend", {class: "visually-hidden"}, app.t("language_label")),
    languages.map(([code, label]) => h("label", {lang: code, class: "chip"},
      h("input", {type: "radio", name, value: code, ".checked": code === app.session.language,
        onchange: () => app.chooseLanguage(code)}),
      h("span", {}, label))));
}

/** What this browser lacks for the test, in words. */
function missingFeatures(app) {
  const t = app.t.bind(app);
  const found = [];
  const {audio} = app.session;
  if (!app.native) {
    if (!isSecureContext) found.push(t("lacks_secure"));
    else if (!("AudioWorkletNode" in globalThis)) found.push(t("lacks_worklet"));
    else if (audio.channels > 8 && /Firefox\//.test(navigator.userAgent)) found.push(t("lacks_channels", {channels: audio.channels}));
  }
  try {
    localStorage.setItem("listening-probe", "1");
    localStorage.removeItem("listening-probe");
  } catch {
    found.push(t("lacks_storage"));
  }
  return found;
}

export function consent(app, definition, state) {
  const t = app.t.bind(app);
  let given = state.consent ?? false;
  const box = h("input", {type: "checkbox", id: "consent", ".checked": given, onchange: () => {
    given = box.checked;
    app.emit("consent", {given});
    app.tell("");
  }});
  return {
    content: [h("h1", {}, t("consent_title")), ...paragraphs(t("consent_text", {listener: app.session.listener})),
      h("label", {class: "check"}, box, h("span", {}, t("consent_agree")))],
    missing: () => (given ? null : t("consent_missing")),
    keep: () => ({consent: given}),
  };
}

export function questionnaire(app, definition, state) {
  const t = app.t.bind(app);
  const values = {...state.answers};
  const unsent = new Set();
  const fields = definition.fields.map((field) => questionnaireField(app, field, values, unsent));
  const flush = () => {
    for (const id of unsent) app.emit("answer", {field: id, value: values[id] ?? null});
    unsent.clear();
  };
  return {
    content: [h("h1", {}, t("questionnaire_title")), ...paragraphs(t("questionnaire_text")),
      h("div", {class: "form", onfocusout: flush}, fields.map((field) => field.element))],
    missing() {
      flush();
      const wrong = fields.filter((field) => !field.good());
      fields.forEach((field) => field.element.classList.toggle("wrong", !field.good()));
      if (!wrong.length) return null;
      wrong[0].focus();
      return t("answers_missing", {fields: app.list(wrong.map((field) => field.label))});
    },
    leave: flush,
    keep: () => ({answers: values}),
  };
}

function questionnaireField(app, field, values, unsent) {
  const t = app.t.bind(app);
  const id = newId("field");
  const set = (value) => {
    values[field.id] = value;
    unsent.add(field.id);
  };
  let timer = 0;
  const later = (value) => {
    set(value);
    clearTimeout(timer);
    timer = setTimeout(() => input.dispatchEvent(new FocusEvent("focusout", {bubbles: true})), COMMENT_MS);
  };
  const mark = field.required ? h("span", {class: "required"}, ` (${t("required")})`) : "";
  const stored = values[field.id];
  let input;
  if (field.kind === "choice" || field.kind === "yes_no") {
    const options = field.kind === "choice" ? field.choices.map((each) => [each, each]) : [["yes", t("yes")], ["no", t("no")]];
    const radios = options.map(([value, label]) => {
      const radio = h("input", {type: "radio", name: id, ".checked": stored === value, onchange: () => {
        set(value);
        radio.dispatchEvent(new FocusEvent("focusout", {bubbles: true}));
      }});
      return h("label", {class: "option"}, radio, h("span", {}, label));
    });
    input = radios[0].firstChild;
    return {label: field.label, focus: () => input.focus(),
      good: () => !field.required || (values[field.id] !== undefined && values[field.id] !== null),
      element: h("fieldset", {class: "field"}, h("legend", {}, field.label, mark), h("div", {class: "options"}, radios))};
  }
  if (field.kind === "number") {
    const range = [field.minimum, field.maximum].every((each) => each !== null && each !== undefined)
      ? t("number_range", {minimum: app.number(field.minimum), maximum: app.number(field.maximum)}) : "";
    input = h("input", {type: "number", id, step: "any", inputmode: "decimal", min: field.minimum, max: field.maximum,
      required: field.required, ".value": stored ?? "", oninput: () => later(input.value === "" ? null : Number(input.value))});
    return {label: field.label, focus: () => input.focus(), good: () => input.checkValidity(),
      element: h("div", {class: "field"}, h("label", {for: id}, field.label, mark), h("div", {class: "row"}, input, h("span", {class: "hint"}, range)))};
  }
  input = h("textarea", {id, rows: 2, maxlength: LONGEST, required: field.required, ".value": stored ?? "",
    oninput: () => later(storable(input.value))});
  return {label: field.label, focus: () => input.focus(), good: () => !field.required || input.value.trim() !== "",
    element: h("div", {class: "field"}, h("label", {for: id}, field.label, mark), input)};
}

export function instruction(app) {
  const t = app.t.bind(app);
  const {method, pages} = app.session;
  const attributes = [...new Set(pages.filter((page) => page.kind === "trial").map((page) => page.attribute))];
  const named = method === "mushra" || method === "bs1116";
  return {
    content: [h("h1", {}, t("instruction_title")),
      ...paragraphs(t(`instruction_${method}`)),
      named ? h("dl", {class: "attributes"}, attributes.flatMap((name) =>
        [h("dt", {}, t(`attribute_${name}`)), h("dd", {}, t(`attribute_${name}_text`))])) : "",
      h("p", {class: "hint"}, t("instruction_keys"))],
    next: t("continue"),
  };
}

export function pause(app) {
  const t = app.t.bind(app);
  const begun = Date.now();
  const time = h("p", {class: "hint", role: "timer"});
  const show = () => {
    const seconds = Math.floor((Date.now() - begun) / 1000);
    time.textContent = t("break_time", {time: `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`});
  };
  show();
  const timer = setInterval(show, 1000);
  return {content: [h("h1", {}, t("break_title")), ...paragraphs(t("break_text")), time], next: t("continue"),
    gone: () => clearInterval(timer)};
}

export function comments(app, definition, state) {
  const t = app.t.bind(app);
  const box = textBox(app, state.comment ?? "", t("comments_title"));
  box.element.rows = 8;
  return {content: [h("h1", {id: "comments-title"}, t("comments_title")), ...paragraphs(t("comments_text")), box.element],
    leave: () => box.flush(), keep: () => ({comment: box.value})};
}

export function end(app) {
  const t = app.t.bind(app);
  const text = h("div", {role: "status"}, paragraphs(t("end_saving")));
  app.queue.settled().then(() => text.replaceChildren(...paragraphs(t("end_text"))));
  app.sound.close();
  return {content: [h("h1", {}, t("end_title")), text], next: null};
}

/** A text without what no file can hold: halves of surrogate pairs and NUL. */
function storable(text) {
  return text.replaceAll("\0", "").replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");
}

/** A text that is sent when the listener stops writing, and before the page is done. */
function textBox(app, stored, label) {
  let timer = 0;
  let sent = stored;
  const flush = () => {
    clearTimeout(timer);
    if (element.value === sent) return;
    sent = element.value;
    app.emit("comment", {text: storable(sent)});
  };
  const element = h("textarea", {rows: 2, maxlength: LONGEST, "aria-label": label, ".value": stored, onblur: flush,
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(flush, COMMENT_MS);
    }});
  return {element, flush, get value() { return element.value; }};
}

/** Comment on a trial, folded away behind a button of the footer. */
export function commentBox(app, stored) {
  const label = app.t("comment");
  const box = textBox(app, stored, label);
  const element = h("div", {class: "comment", hidden: stored === ""}, h("span", {class: "hint", "aria-hidden": "true"}, label), box.element);
  if (!app.session.plan.comments) return {element: "", toggle: "", flush() {}, value: ""};
  const toggle = button(label, () => {
    element.hidden = !element.hidden;
    toggle.setAttribute("aria-expanded", String(!element.hidden));
    if (!element.hidden) box.element.focus();
  }, {class: "quiet", id: "comment-toggle", "aria-expanded": String(stored !== "")});
  return {element, toggle, flush: box.flush, get value() { return box.value; }};
}
