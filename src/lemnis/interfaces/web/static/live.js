// Live: what changed on the server is shown without losing the place. A part of the page says what it is fed by.
import { localise } from "./times.js";

const base = document.body.dataset.base ?? "";
const state = document.querySelector("[data-live-state]");
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
// What nobody asked for does not keep a session from its end.
const UNASKED = { "x-lemnis-unasked": "1" };
const SOON = 250, BUSY = 2_000, HELD = 300, AGAIN = 10_000, HIDDEN = 60_000;
const PRESSED = 5_000, READ = 15_000; // so long a key held down, and text that is marked, keep a part as it is

// What somebody writes in.
export const FIELDS = "input:not([type=hidden], [type=checkbox], [type=radio]), textarea, select";
const changed = (field) => (field.matches("select")
  ? field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected))
  : field.value !== field.defaultValue);
export const written = () => all("textarea, input:not([type=hidden], [type=checkbox], [type=radio])").some(changed);

// -- a part is drawn anew

// What tells one thing in a part from the others, also where the part was drawn anew.
const NAMED = "a[href], button, input:not([type=hidden]), textarea, select, summary, details, [tabindex]";
function named(part) {
  const found = new Map();
  for (const one of all(NAMED, part)) {
    const { localName, name, form } = one;
    const about = form ? all("input[type=hidden]:not([name=csrf])", form).map((given) => given.value) : [];
    const own = one.matches("a, summary, details") ? one.getAttribute("href") ?? one.querySelector("summary")?.textContent ?? one.textContent
      : one.matches("button, [type=checkbox], [type=radio]") ? one.value : "";
    let key = JSON.stringify([localName, one.closest("tr[data-row]")?.dataset.row, name, own, about]);
    while (found.has(key)) key += "+";
    found.set(key, one);
  }
  return found;
}
function keep(was, now, focused) {
  if (was.matches("details")) now.open = was.open;
  else if (was.matches("tr")) now.tabIndex = was.tabIndex;
  else if (was.matches("[type=checkbox], [type=radio]")) { if (was.checked !== was.defaultChecked) now.checked = was.checked; }
  else if (was.matches(FIELDS) && changed(was)) now.value = was.value;
  if (was !== focused) return;
  now.focus({ preventScroll: true });
  now.scrollIntoView({ block: "nearest" });
}
const shown = new WeakMap();
function swap(part, fresh) {
  if (fresh.innerHTML === shown.get(part)) return;
  shown.set(part, fresh.innerHTML);
  const before = named(part);
  const focused = document.activeElement;
  const at = all("tr[data-row]", part).findIndex((row) => row.tabIndex === 0);
  part.replaceChildren(...fresh.childNodes);
  localise(part);
  const after = named(part);
  for (const [key, was] of before) if (after.has(key)) keep(was, after.get(key), focused);
  const rows = all("tr[data-row]", part);
  if (at >= 0 && rows.length && rows.every((row) => row.tabIndex < 0)) rows[Math.min(at, rows.length - 1)].tabIndex = 0;
  part.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
}

// -- unless somebody is at it

let pressed = 0;
let marked = 0;
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { pressed = performance.now(); }, true);
for (const kind of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(kind, () => { pressed = 0; });
document.addEventListener("selectionchange", () => { marked = performance.now(); });
function held(part) {
  const now = performance.now();
  const selection = getSelection();
  return (pressed && now - pressed < PRESSED)
    || (part.contains(document.activeElement) && document.activeElement.matches(FIELDS))
    || (!selection.isCollapsed && now - marked < READ && selection.containsNode(part, true))
    || part.querySelector("form[data-sent]") !== null;
}
const waiting = new Map();
let settling = 0;
function settle() {
  for (const [part, fresh] of waiting) {
    if (held(part)) continue;
    waiting.delete(part);
    swap(part, fresh);
  }
  clearTimeout(settling);
  settling = waiting.size ? setTimeout(settle, HELD) : 0;
}

// -- it is asked for, one answer at a time: of two the older could come last

let due = 0;
let asking = false;
let more = false;
function soon(wait = SOON) {
  if (asking) more = true;
  else due ||= setTimeout(refresh, wait);
}
async function refresh() {
  due = 0;
  more = false;
  asking = true;
  const wait = await renew().finally(() => { asking = false; });
  if (more || wait) soon(wait || SOON);
}
// Returns how long to wait with asking again, where there was no answer.
async function renew() {
  const parts = all("[data-part]");
  if (!parts.length) return 0;
  let answer, text;
  try {
    answer = await fetch(location.href, { headers: { accept: "text/html", ...UNASKED }, credentials: "same-origin" });
    text = await answer.text();
  } catch { return BUSY; }
  if (answer.status === 429) return 1000 * Number(answer.headers.get("retry-after")) || BUSY;
  if (answer.redirected) over();
  else if (answer.ok) show(parts, new DOMParser().parseFromString(text, "text/html"));
  return 0;
}
function show(parts, page) {
  for (const part of parts) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (fresh) waiting.set(part, fresh);
  }
  settle();
  for (const count of all("[data-count]")) {
    const now = page.querySelector(`[data-count="${count.dataset.count}"]`);
    if (now) count.textContent = now.textContent;
  }
}

// -- it is told of

// Who is signed out is shown nothing any more; what they were writing stays, to be kept elsewhere.
function over() { if (!written()) location.reload(); }

// Listens to a stream. A page that is hidden does not: a browser has six connections for all of its pages.
export function listening(address) {
  let stream = null;
  let last = "";
  let timer = 0;
  function rest() {
    clearTimeout(timer);
    stream?.close();
    state.classList.remove("on");
  }
  // A browser gives a stream up for good that is refused once: it is tried again unless the session is over.
  async function again() {
    const answer = await fetch(`${base}/api/v1/me`, { headers: UNASKED, credentials: "same-origin" }).catch(() => null);
    if (answer?.status === 401) over();
    listen();
  }
  function listen() {
    rest();
    if (document.hidden) {
      timer = setTimeout(again, HIDDEN);
      return;
    }
    const at = new URL(address, location.href);
    if (last) at.searchParams.set("after", last);
    const mine = stream = new EventSource(at);
    mine.onopen = () => { state.hidden = false; state.classList.add("on"); };
    mine.onerror = () => {
      state.classList.remove("on");
      if (mine.readyState === EventSource.CLOSED) timer = setTimeout(again, AGAIN);
    };
    for (const kind of ["alert", "incident", "run", "lost"]) {
      mine.addEventListener(kind, (event) => { last = event.lastEventId || last; soon(); });
    }
  }
  listen();
  document.addEventListener("visibilitychange", () => (document.hidden ? listen() : again()));
  addEventListener("pagehide", rest);
  // A page that the browser kept shows what was: it is loaded anew, unless something was written in it.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    over();
    again();
  });
}
