// What every page has: times in the viewer's zone, light and dark, the menu, keys, rows by keyboard, live updates.
import { FIELDS, listening, written } from "./live.js";
import { localise } from "./times.js";

const base = document.body.dataset.base ?? "";
const query = (selector, within = document) => within.querySelector(selector);
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
const reachable = () => { for (const row of rows().slice(0, 1)) row.tabIndex = 0; };
reachable();

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

// Live updates; a table that was drawn anew has a row in the order of tabs, as before.
const source = document.body.dataset.live;
if (source && "EventSource" in globalThis) listening(source);
addEventListener("swapped", () => { if (!query("tr[data-row][tabindex='0']")) reachable(); });

// What is being worked out beside the page is asked for again, unless somebody writes in it or is on their way to another.
const AGAIN = 2_000, GONE = 60_000;
if (query("[data-again]")) {
  let timer = 0;
  const wait = (ms) => { clearTimeout(timer); timer = setTimeout(look, ms); };
  const busy = () => document.activeElement.matches(FIELDS) || query("dialog[open]") || written();
  const look = () => (busy() ? wait(AGAIN) : location.reload());
  addEventListener("beforeunload", () => wait(GONE));
  wait(AGAIN);
}

// A form is sent once, also by two keys in a row; it is free again where no other page came of it.
const SENT = 20_000;
function free() {
  for (const one of all("[data-sent]")) {
    delete one.dataset.sent;
    if (one.matches("button")) one.disabled = false;
  }
}
addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
  if ("sent" in form.dataset) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "";
  setTimeout(() => {
    for (const button of all("button:not(:disabled)", form)) {
      button.dataset.sent = "";
      button.disabled = true;
    }
  });
  setTimeout(free, SENT);
});
addEventListener("pageshow", (event) => { if (event.persisted) free(); });
