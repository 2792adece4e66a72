import { load } from "./times.js";

for (const part of document.querySelectorAll("[data-load]")) load(part, part.dataset.load);
