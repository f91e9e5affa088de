// Elements of the page. Texts enter it as text nodes only, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Element with attributes, listeners (`onclick`), properties of the DOM (`.value`) and children. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith(".")) element[name.slice(1)] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Paragraphs of a text; an empty line separates them. */
export function paragraphs(text, attributes = {}) {
  return text.trim().split(/\n\s*\n/).map((part) => h("p", attributes, part));
}

/** Button; a click with the pointer leaves the focus where keys act on the trial. */
export function button(label, onclick, attributes = {}) {
  return h("button", {type: "button", onclick, ...attributes}, label);
}

let counter = 0;

/** An id for `for` and `aria-labelledby`. */
export function newId(name) {
  counter += 1;
  return `${name}-${counter}`;
}

/** Ask in a dialog; resolves to the value of the chosen answer, null when it is closed. */
export function ask(title, text, answers) {
  return new Promise((resolve) => {
    const heading = newId("dialog");
    const dialog = h("dialog", {"aria-labelledby": heading, onclose: () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    }},
      h("h2", {id: heading}, title),
      paragraphs(text),
      h("div", {class: "row end"}, answers.map(([value, label], i) =>
        button(label, () => dialog.close(value), {class: i === 0 ? "primary" : "", autofocus: i === 0}))));
    document.body.append(dialog);
    dialog.showModal();
  });
}
