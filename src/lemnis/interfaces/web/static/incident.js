import { load } from "./times.js";

for (const part of document.querySelectorAll("[data-load]")) load(part, part.dataset.load);

// The clock of what is due goes on while the page is looked at; it counts from what the server said was left.
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const began = new WeakMap();
function span(ms) {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${Math.floor((ms % MINUTE) / SECOND)} s`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${Math.floor((ms % HOUR) / MINUTE)} min`;
  return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`;
}
function tick() {
  for (const one of document.querySelectorAll("[data-left]")) {
    if (!began.has(one)) began.set(one, performance.now());
    const left = Number(one.dataset.left) - (performance.now() - began.get(one));
    one.textContent = left < 0 ? `late by ${span(-left)}` : `${span(left)} left`;
  }
}
tick();
setInterval(tick, SECOND);
addEventListener("swapped", tick);
