// Search: completion, brushing the histogram, statistics of fields.
import { offering } from "./offers.js";
import { load } from "./times.js";

const q = document.querySelector("#q");
const form = document.querySelector("#ask");
const list = document.querySelector("#offers");
const parts = [...document.querySelectorAll("[data-load]")];

// What is loaded may have a part itself: a search that goes on further back.
async function fill(part) {
  await load(part, part.dataset.load);
  brushes(part);
  for (const inner of part.querySelectorAll("[data-load]")) await fill(inner);
}
for (const part of parts) fill(part);

// Completion.
const offers = offering(q, list);
const written = () => q.value.slice(0, q.selectionStart ?? q.value.length);
let asked = 0;
async function complete() {
  const mine = ++asked;
  const text = written();
  const answer = await fetch(`${q.dataset.complete}?${new URLSearchParams({ q: text })}`, { credentials: "same-origin" });
  if (!answer.ok) return;
  const told = await answer.json();
  if (mine !== asked || text !== written() || document.activeElement !== q) return;
  const shown = told.offers.map(({ text, kind, count }) => ({ text, kind: count ? `${kind} · ${count.toLocaleString("en-GB")}` : kind }));
  offers.offer(shown, text.length - told.last.length);
}
const quietly = () => complete().catch(offers.close);
let waiting = 0;
q.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(quietly, 120); });
q.addEventListener("blur", offers.close);
q.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { clearTimeout(waiting); asked += 1; }
  if (!offers.key(event)) {
    if (list.hidden && (event.key === "ArrowDown" || (event.key === " " && event.ctrlKey))) quietly();
    return;
  }
  event.preventDefault();
  event.stopPropagation();
});

// Brushing, by pointer and by keys.
const SVG = "http://www.w3.org/2000/svg";
const LONG = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
function brushes(within) {
  for (const area of within.querySelectorAll("[data-brush]")) {
    const svg = area.querySelector("svg");
    const start = Number(svg.dataset.start);
    const end = Number(svg.dataset.end);
    const { width, height } = svg.viewBox.baseVal;
    const told = within.querySelector("[data-brushed]");
    const brush = document.createElementNS(SVG, "rect");
    brush.setAttribute("class", "brush");
    brush.setAttribute("y", "0");
    brush.setAttribute("height", String(height));
    const at = (share) => Math.round(start + share * (end - start));
    let anchor = null;
    let place = 0;
    const show = () => {
      const [low, high] = [Math.min(anchor, place), Math.max(anchor, place)];
      brush.setAttribute("x", String(low * width));
      brush.setAttribute("width", String(Math.max(high - low, 0.002) * width));
      if (!brush.isConnected) svg.append(brush);
      told.textContent = low === high ? LONG.format(at(low)) : `${LONG.format(at(low))} to ${LONG.format(at(high))}`;
    };
    const clear = () => {
      anchor = null;
      told.textContent = "";
      brush.remove();
    };
    const go = () => {
      const [low, high] = [Math.min(anchor, place), Math.max(anchor, place)];
      if ((high - low) * width < 4) return clear();
      location.assign(`${form.action}?${new URLSearchParams({ q: q.value, from: at(low), to: at(high) })}`);
    };
    let held = false;
    const under = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    };
    area.addEventListener("pointerdown", (event) => {
      held = true;
      anchor = place = under(event);
      show();
      area.setPointerCapture(event.pointerId);
    });
    area.addEventListener("pointermove", (event) => {
      if (!held) return;
      place = under(event);
      show();
    });
    area.addEventListener("pointerup", () => {
      if (held) go();
      held = false;
    });
    area.addEventListener("pointercancel", () => { held = false; clear(); });
    const steps = { ArrowLeft: -1 / 80, ArrowRight: 1 / 80, PageUp: -0.1, PageDown: 0.1, Home: -1, End: 1 };
    area.addEventListener("keydown", (event) => {
      if (event.key in steps) {
        const by = steps[event.key];
        const from = anchor === null && Math.abs(by) < 1 ? (by < 0 ? 1 : 0) : place + by;
        place = Math.max(0, Math.min(1, from));
        if (anchor === null || !event.shiftKey) anchor = place;
        show();
      } else if (event.key === "Enter" && anchor !== null) go();
      else if (event.key === "Escape" && anchor !== null) clear();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
}

// The time: fields are in the viewer's zone, addresses in milliseconds.
const zone = document.querySelector("[data-zone]");
const instants = [...document.querySelectorAll("input.instant")];
if (zone) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
const two = (n) => String(n).padStart(2, "0");
for (const field of instants) {
  if (!field.defaultValue) continue;
  const then = new Date(`${field.defaultValue}Z`);
  field.value = `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}T${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
}
form?.addEventListener("formdata", (event) => {
  for (const field of instants) {
    const then = new Date(field.value);
    if (field.value && !Number.isNaN(then.getTime())) event.formData.set(field.name, String(then.getTime()));
    else event.formData.delete(field.name);
  }
});

// What takes long can be ended.
const stop = document.querySelector("[data-stop]");
form?.addEventListener("submit", () => { stop.hidden = false; });
addEventListener("pageshow", () => { if (stop) stop.hidden = true; });
stop?.querySelector("button").addEventListener("click", async (event) => {
  const { address, csrf } = event.currentTarget.dataset;
  stop.querySelector("[role=status]").textContent = "Ending…";
  await fetch(address, { method: "POST", body: new URLSearchParams({ csrf }), credentials: "same-origin" });
});

// What is wrong with the query is where the cursor is.
const wrong = document.querySelector("[data-column]");
if (wrong) {
  q.focus();
  const column = Math.min(q.value.length, Number(wrong.dataset.column) - 1);
  q.setSelectionRange(column, column);
}

// Fields: what they hold, and to add it to the query.
const fields = document.querySelector("[data-fields]");
const like = document.querySelector("#f-like");
let narrowing = 0;
like?.addEventListener("input", () => {
  clearTimeout(narrowing);
  narrowing = setTimeout(() => load(fields, `${fields.dataset.fields}&${new URLSearchParams({ like: like.value })}`), 150);
});
fields?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.field) load(fields, `${fields.dataset.fields}&${new URLSearchParams({ field: button.dataset.field })}`);
  else if ("allFields" in button.dataset) load(fields, fields.dataset.fields);
  else if (button.dataset.add) {
    const value = button.dataset.value.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
    const [filter, ...stages] = q.value.split("|");
    q.value = [`${filter.trim()} ${button.dataset.add}:"${value}"`.trim(), ...stages].join(" |");
    form.requestSubmit();
  }
});
