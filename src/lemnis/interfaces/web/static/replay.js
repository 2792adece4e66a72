// A replay that goes on: asked how far it is, shown in place; who leaves says so, and it ends.
import { localise } from "./times.js";

const EVERY_MS = 1000;
const part = document.querySelector("[data-replay]");

async function look() {
  const answer = await fetch(part.dataset.going, { headers: { accept: "text/html", "x-lemnis-unasked": "1" }, credentials: "same-origin" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-replay]");
  if (!fresh) { // nobody is signed in any more
    location.reload();
    return;
  }
  if (!fresh.dataset.going) { // what is written beside it stays
    delete part.dataset.going;
    part.replaceChildren(...fresh.childNodes);
    localise(part);
    part.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
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
