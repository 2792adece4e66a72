// What every page has: times in the viewer's zone, light and dark, the menu, keys, rows by keyboard, live updates.
import { localise } from "./times.js";

const base = document.body.dataset.base ?? "";
const query = (selector, within = document) => within.querySelector(selector);
// What nobody asked for does not keep a session from its end.
const UNASKED = { "x-lemnis-unasked": "1" };
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

localise();

// Light, dark, or as the system is.
query("[data-theme-switch]")?.addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  document.cookie = `lemnis-theme=${next}; path=/; max-age=31536000; samesite=lax`;
});

// The menu where there is little room.
const rail = query("#rail");
const more = query("[data-menu]");
more?.addEventListener("click", () => {
  more.setAttribute("aria-expanded", String(rail.classList.toggle("open")));
});

// Rows by keyboard: one is in the order of tabs, j and k go on.
const rows = () => all("tr[data-row]:not([hidden])");
function place(row) {
  if (!row) return;
  for (const other of all("tr[data-row][tabindex='0']")) other.tabIndex = -1;
  row.tabIndex = 0;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}
function step(by) {
  const known = rows();
  const at = known.indexOf(document.activeElement?.closest?.("tr[data-row]"));
  const from = at >= 0 ? at : known.findIndex((row) => row.tabIndex === 0) - (by > 0 ? 1 : -1);
  place(known[Math.max(0, Math.min(known.length - 1, from + by))]);
}
const first = rows()[0];
if (first) first.tabIndex = 0;

const PAGES = { l: "/", q: "/queue", s: "/search", d: "/detections", p: "/pipeline", r: "/playbooks", o: "/sources", e: "/lessons" };
let going = 0;
addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (query("dialog[open]")) return;
  if (going && performance.now() - going < 1200 && PAGES[event.key]) {
    location.assign(base + PAGES[event.key]);
    return;
  }
  going = event.key === "g" ? performance.now() : 0;
  const row = target.closest?.("tr[data-row]");
  if (event.key === "j" || event.key === "ArrowDown" && row) step(1);
  else if (event.key === "k" || event.key === "ArrowUp" && row) step(-1);
  else if (event.key === "/") query("#q, #find")?.focus();
  else if (event.key === "?") query("#keys")?.showModal();
  else if (event.key === "Enter" && target === row) query("a[href]", row)?.click();
  else return;
  event.preventDefault();
});
query("[data-keys]")?.addEventListener("click", () => query("#keys").showModal());

// Live: what changed on the server is shown without losing the place. A part of the page says what it is fed by.
const source = document.body.dataset.live;
const state = query("[data-live-state]");
if (source && "EventSource" in globalThis) {
  let stream = null;
  let due = 0;
  const refresh = async () => {
    due = 0;
    const parts = all("[data-part]");
    if (!parts.length || document.hidden) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html", ...UNASKED }, credentials: "same-origin" });
    if (answer.redirected) return over();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts) swap(part, fresh.querySelector(`[data-part="${part.dataset.part}"]`));
    for (const count of all("[data-count]")) {
      const now = fresh.querySelector(`[data-count="${count.dataset.count}"]`);
      if (now) count.textContent = now.textContent;
    }
  };
  const soon = () => { due ||= setTimeout(() => refresh().catch(() => {}), 250); };
  // Who is signed out is shown nothing any more; what they were writing stays, to be kept elsewhere.
  const written = () => all("textarea, input:not([type=hidden], [type=checkbox])").some((field) => field.value !== field.defaultValue);
  const over = () => { if (!written()) location.reload(); };
  // A browser gives a stream up for good that is refused once: it is tried again unless the session is over.
  const again = async () => {
    const answer = await fetch(`${base}/api/v1/me`, { headers: UNASKED, credentials: "same-origin" });
    if (answer.status === 401) over();
    else listen();
  };
  function listen() {
    stream = new EventSource(source);
    stream.onopen = () => { state.hidden = false; state.classList.add("on"); };
    stream.onerror = () => {
      state.classList.remove("on");
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => again().catch(listen), 10_000);
    };
    for (const kind of ["alert", "incident", "run", "lost"]) stream.addEventListener(kind, soon);
  }
  listen();
  addEventListener("pagehide", () => stream.close());
}

const shown = new WeakMap();
function swap(part, fresh) {
  if (!fresh || fresh.innerHTML === shown.get(part)) return;
  const chosen = new Set(all("input[data-choose]:checked", part).map((box) => box.value));
  const at = document.activeElement?.closest?.("tr[data-row]")?.dataset.row;
  if (part.contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox]), textarea, select")) return;
  shown.set(part, fresh.innerHTML);
  part.replaceChildren(...fresh.childNodes);
  localise(part);
  for (const box of all("input[data-choose]", part)) box.checked = chosen.has(box.value);
  part.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
  if (at) place(query(`tr[data-row="${CSS.escape(at)}"]`));
}

// What is being worked out beside the page is asked for again.
if (query("[data-again]")) setTimeout(() => location.reload(), 2000);

// A form that wants a word before it is sent.
for (const form of all("form[data-once]")) {
  form.addEventListener("submit", () => { for (const button of all("button", form)) setTimeout(() => { button.disabled = true; }); });
}
