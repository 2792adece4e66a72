// Search: completion, brushing the histogram, statistics of fields.
import { load } from "./times.js";

const q = document.querySelector("#q");
const form = document.querySelector("#ask");
const offers = document.querySelector("#offers");
const parts = [...document.querySelectorAll("[data-load]")];

for (const part of parts) load(part, part.dataset.load).then(() => brushes(part));

// Completion.
let asked = 0;
let chosen = -1;
let last = "";
const options = () => [...offers.querySelectorAll("[role=option]")];
function close() {
  offers.hidden = true;
  q.setAttribute("aria-expanded", "false");
  q.removeAttribute("aria-activedescendant");
  chosen = -1;
}
function choose(n) {
  const known = options();
  if (!known.length) return;
  chosen = (n + known.length) % known.length;
  for (const [place, one] of known.entries()) one.setAttribute("aria-selected", String(place === chosen));
  known[chosen].scrollIntoView({ block: "nearest" });
  q.setAttribute("aria-activedescendant", known[chosen].id);
}
function take(text) {
  const at = q.selectionStart ?? q.value.length;
  const before = q.value.slice(0, at);
  q.value = before.slice(0, before.length - last.length) + text + q.value.slice(at);
  const end = before.length - last.length + text.length;
  q.setSelectionRange(end, end);
  close();
}
async function complete() {
  const mine = ++asked;
  const text = q.value.slice(0, q.selectionStart ?? q.value.length);
  const answer = await fetch(`${q.dataset.complete}?${new URLSearchParams({ q: text })}`, { credentials: "same-origin" });
  if (!answer.ok || mine !== asked || document.activeElement !== q) return;
  const told = await answer.json();
  last = told.last;
  offers.replaceChildren(...told.offers.map((one, n) => {
    const option = document.createElement("div");
    option.id = `offer-${n}`;
    option.role = "option";
    option.ariaSelected = "false";
    const text = document.createElement("span");
    text.textContent = one.text;
    const kind = document.createElement("span");
    kind.className = "faint";
    kind.textContent = one.count ? `${one.kind} · ${one.count.toLocaleString("en-GB")}` : one.kind;
    option.append(text, kind);
    option.addEventListener("pointerdown", (event) => { event.preventDefault(); take(one.text); });
    return option;
  }));
  offers.hidden = told.offers.length === 0;
  q.setAttribute("aria-expanded", String(!offers.hidden));
  chosen = -1;
}
let waiting = 0;
q.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => complete().catch(close), 120); });
q.addEventListener("blur", close);
q.addEventListener("keydown", (event) => {
  if (offers.hidden) {
    if (event.key === "ArrowDown" || (event.key === " " && event.ctrlKey)) complete().catch(close);
    return;
  }
  if (event.key === "ArrowDown") choose(chosen + 1);
  else if (event.key === "ArrowUp") choose(chosen - 1);
  else if (event.key === "Escape") close();
  else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) take(options()[chosen].querySelector("span").textContent);
  else return;
  event.preventDefault();
  event.stopPropagation();
});

// Brushing.
function brushes(within) {
  for (const area of within.querySelectorAll("[data-brush]")) {
    const svg = area.querySelector("svg");
    const start = Number(svg.dataset.start);
    const end = Number(svg.dataset.end);
    const width = svg.viewBox.baseVal.width;
    const height = svg.viewBox.baseVal.height;
    const brush = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    brush.setAttribute("class", "brush");
    brush.setAttribute("y", "0");
    brush.setAttribute("height", String(height));
    let from = null;
    const place = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    };
    area.addEventListener("pointerdown", (event) => {
      from = place(event);
      brush.setAttribute("width", "0");
      svg.append(brush);
      area.setPointerCapture(event.pointerId);
    });
    area.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = place(event);
      brush.setAttribute("x", String(Math.min(from, to) * width));
      brush.setAttribute("width", String(Math.abs(to - from) * width));
    });
    area.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = place(event);
      const [low, high] = [Math.min(from, to), Math.max(from, to)];
      from = null;
      if ((high - low) * width < 4) return brush.remove();
      const at = (share) => Math.round(start + share * (end - start));
      const address = new URLSearchParams({ q: q.value, from: at(low), to: at(high) });
      location.assign(`${form.action}?${address}`);
    });
  }
}

// Fields: what they hold, and to add it to the query.
const list = document.querySelector("[data-fields]");
const like = document.querySelector("#f-like");
let narrowing = 0;
like?.addEventListener("input", () => {
  clearTimeout(narrowing);
  narrowing = setTimeout(() => load(list, `${list.dataset.fields}&${new URLSearchParams({ like: like.value })}`), 150);
});
list?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.field) load(list, `${list.dataset.fields}&${new URLSearchParams({ field: button.dataset.field })}`);
  else if ("allFields" in button.dataset) load(list, list.dataset.fields);
  else if (button.dataset.add) {
    const value = button.dataset.value.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
    const [filter, ...stages] = q.value.split("|");
    q.value = [`${filter.trim()} ${button.dataset.add}:"${value}"`.trim(), ...stages].join(" |");
    form.requestSubmit();
  }
});
