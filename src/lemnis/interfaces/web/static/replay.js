// A replay that goes on: asked how far it is, shown in place; who leaves says so, and it ends.
import { localise } from "./times.js";

const EVERY_MS = 1000;
const part = document.querySelector("[data-replay]");

async function look() {
  const answer = await fetch(part.dataset.going, { headers: { accept: "text/html", "x-lemnis-unasked": "1" }, credentials: "same-origin" });
  if (!answer.ok) throw new Error(answer.statusText);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-replay]");
  if (!fresh.dataset.going) {
    location.replace(part.dataset.going);
    delete part.dataset.going;
    return;
  }
  const bar = part.querySelector("progress");
  const now = fresh.querySelector("progress");
  if (now.hasAttribute("value")) {
    bar.max = now.max;
    bar.value = now.value;
  }
  const said = part.querySelector("[role=status]");
  if (said.textContent !== fresh.querySelector("[role=status]").textContent) said.textContent = fresh.querySelector("[role=status]").textContent;
  localise(part);
}

function again() {
  if (part?.dataset.going) setTimeout(() => look().catch(() => {}).finally(again), EVERY_MS);
}
again();

addEventListener("pagehide", () => {
  if (!part?.dataset.going) return;
  const told = new URLSearchParams(new FormData(part.querySelector("#going")));
  told.set("do", "left");
  navigator.sendBeacon(part.dataset.going.split("?")[0], told);
});
