// The findings by keyboard: choose, and go to the decision.
import { choosing } from "./choose.js";

const form = document.querySelector("#chosen");
if (form?.querySelector("[data-bulk]")) {
  const { bulk, boxes, show } = choosing(form);
  // Enter beside several buttons decides nothing; beside one it presses that.
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches("#f-to, #f-reason, #f-until")) return;
    event.preventDefault();
    if (event.target.id === "f-to") form.requestSubmit(form.querySelector("button[value=assign]"));
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input:not([type=checkbox]), textarea, select")) return;
    if (document.querySelector("dialog[open]")) return;
    const box = document.activeElement?.closest?.("tr[data-row]")?.querySelector("input[data-choose]");
    if (event.key === "x" && box) box.checked = !box.checked;
    else if (event.key === "Escape") for (const other of boxes()) other.checked = false;
    else if (event.key === "c" && (box || !bulk.hidden)) {
      if (bulk.hidden) box.checked = true;
      show();
      form.querySelector("#f-reason").focus();
    } else return;
    show();
    event.preventDefault();
  });
}
