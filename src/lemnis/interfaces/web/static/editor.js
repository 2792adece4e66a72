// The editor of rules: lines and lint while one writes, what may come next, and what it finds.
import { offering } from "./offers.js";
import { localise } from "./times.js";

const form = document.querySelector("#rule");
const area = document.querySelector("#f-text");
const gutter = form.querySelector(".gutter");
const said = form.querySelector("[data-lint]");
const list = form.querySelector("#offers");
const csrf = form.querySelector("[name=csrf]").value;
const QUIET = 350;
const IDLE = 1500;

const asked = async (address, fields, signal) => {
  const body = new URLSearchParams({ csrf, text: area.value, ...fields });
  const answer = await fetch(address, { method: "POST", body, credentials: "same-origin", signal });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
};

// Lines, and what is wrong in them.
let findings = [];
function lines() {
  const count = area.value.split("\n").length;
  const bad = new Map();
  for (const one of findings) if (one.line && bad.get(one.line) !== "error") bad.set(one.line, one.level);
  gutter.replaceChildren(...Array.from({ length: count }, (_, n) => {
    const line = document.createElement("span");
    line.textContent = String(n + 1);
    if (bad.has(n + 1)) line.className = bad.get(n + 1);
    return line;
  }));
  gutter.scrollTop = area.scrollTop;
}
function goTo(line, column) {
  const before = area.value.split("\n").slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const at = Math.min(area.value.length, before + Math.max(0, column - 1));
  area.focus();
  area.setSelectionRange(at, at);
  area.scrollTop = Math.max(0, (line - 8) * lineHeight());
}
function tell() {
  if (!findings.length) {
    const fine = document.createElement("p");
    fine.className = "soft";
    fine.textContent = "Nothing is wrong.";
    return said.replaceChildren(fine);
  }
  return said.replaceChildren(...findings.slice(0, 8).map((one) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "bare";
    const badge = document.createElement("span");
    badge.className = `badge ${one.level === "error" ? "critical" : "medium"}`;
    badge.textContent = one.level;
    const text = document.createElement("span");
    const place = one.line ? `line ${one.line}${one.column ? `, column ${one.column}` : ""}: ` : "";
    text.textContent = `${place}${one.what}${one.fix ? `. ${one.fix}` : ""}`;
    button.append(badge, text);
    if (one.line) button.addEventListener("click", () => goTo(one.line, one.column || 1));
    return button;
  }));
}
let linting = null;
async function lint() {
  linting?.abort();
  const mine = linting = new AbortController();
  try {
    ({ findings } = await asked(form.dataset.check, {}, mine.signal));
    lines();
    tell();
  } catch (error) {
    if (error.name !== "AbortError") said.textContent = "Lint does not answer.";
  }
}

// What may come next.
let leaving = false;
const offers = offering(area, list, changed);
const lineHeight = () => Number.parseFloat(getComputedStyle(area).lineHeight);
let completing = null;
async function complete() {
  completing?.abort();
  const mine = completing = new AbortController();
  const at = area.selectionStart;
  const told = await asked(form.dataset.complete, { at: [...area.value.slice(0, at)].length }, mine.signal);
  if (at !== area.selectionStart || document.activeElement !== area) return;
  const start = at - told.back;
  const typed = area.value.slice(start, at);
  offers.offer(told.offers.filter((one) => one.text !== typed), start);
  const above = area.value.slice(0, at).split("\n");
  const top = area.offsetTop + above.length * lineHeight() - area.scrollTop + 8;
  list.style.top = `${Math.min(top, area.offsetTop + area.clientHeight)}px`;
  const wide = Number.parseFloat(getComputedStyle(area).fontSize) * 0.6;
  const left = area.offsetLeft + (above.at(-1).length - told.back) * wide - area.scrollLeft;
  list.style.left = `${Math.max(0, Math.min(left, form.clientWidth - 280))}px`;
}
const quietly = () => complete().catch((error) => { if (error.name !== "AbortError") offers.close(); });

// What it finds, while one writes.
const live = form.querySelector("#f-live");
form.querySelector("[data-live-try]").hidden = false;
let trying = null;
async function tryIt(fields) {
  trying?.abort();
  const mine = trying = new AbortController();
  const found = document.querySelector("#found");
  found.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams([...new FormData(form), ...Object.entries({ do: "try", ...fields })]);
    const answer = await fetch(form.action, { method: "POST", body, credentials: "same-origin", signal: mine.signal });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const shown = fresh.querySelector("#found");
    const wrong = fresh.querySelector("main .notice.bad");
    if (wrong) found.replaceChildren(wrong);
    else if (shown) found.replaceChildren(...shown.childNodes);
    localise(found);
  } catch (error) {
    if (error.name !== "AbortError") found.textContent = `It could not be tried: ${error.message}`;
  } finally {
    if (mine === trying) found.removeAttribute("aria-busy");
  }
}
form.addEventListener("submit", (event) => {
  if (event.submitter?.value !== "try") return;
  event.preventDefault();
  tryIt({});
});

let quiet = 0;
let idle = 0;
function changed() {
  lines();
  clearTimeout(quiet);
  clearTimeout(idle);
  quiet = setTimeout(lint, QUIET);
  if (live.checked) idle = setTimeout(() => tryIt({ soon: "1" }), IDLE);
}
live.addEventListener("change", changed);
area.addEventListener("input", () => { changed(); quietly(); });
area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
area.addEventListener("blur", () => { offers.close(); leaving = false; });
area.addEventListener("keydown", (event) => {
  if (event.key === " " && event.ctrlKey) quietly();
  else if (event.key === "Escape") { completing?.abort(); offers.close(); leaving = true; }
  else if (offers.key(event)) leaving = false;
  else if (event.key === "Tab" && !event.shiftKey && !leaving) area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
  else { if (event.key !== "Tab") leaving = false; return; }
  event.preventDefault();
  event.stopPropagation();
});
lines();
lint();
if (form.querySelector("[name=q]")) tryIt({});
