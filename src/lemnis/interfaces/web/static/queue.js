// The queue by keyboard: choose, take, close.
import { choosing } from "./choose.js";

const form = document.querySelector("#chosen");
const { bulk, boxes, show } = choosing(form);

function send(what) {
  const button = form.querySelector(`button[name="do"][value="${what}"]`);
  form.requestSubmit(button);
}

// Enter in a field does what stands beside that field; the form by itself would press its first button.
for (const [field, what] of [["#f-to", "assign"], ["#f-verdict", "close"], ["#f-reason", "close"]]) {
  form.querySelector(field)?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    send(what);
  });
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input:not([type=checkbox]), textarea, select")) return;
  if (document.querySelector("dialog[open]")) return;
  const row = document.activeElement?.closest?.("tr[data-row]");
  const box = row?.querySelector("input[data-choose]");
  if (event.key === "x" && box) {
    box.checked = !box.checked;
    show();
  } else if (event.key === "Escape") {
    for (const other of boxes()) other.checked = false;
    show();
  } else if (event.key === "a" && (box || !bulk.hidden)) {
    if (bulk.hidden) box.checked = true;
    show();
    send("take");
  } else if (event.key === "c" && (box || !bulk.hidden)) {
    if (bulk.hidden) box.checked = true;
    show();
    form.querySelector("#f-verdict").focus();
  } else return;
  event.preventDefault();
});
