// Rows that are chosen, and what is done with them: boxes by mouse or x, Esc chooses nothing.
export function choosing(form) {
  const bulk = form.querySelector("[data-bulk]");
  const count = form.querySelector("[data-bulk-count]");
  const boxes = () => [...form.querySelectorAll("input[data-choose]")];
  function show() {
    const chosen = boxes().filter((box) => box.checked);
    for (const box of boxes()) box.closest("tr").setAttribute("aria-selected", String(box.checked));
    count.textContent = String(chosen.length);
    bulk.hidden = chosen.length === 0;
  }
  form.addEventListener("change", show);
  form.addEventListener("swapped", show);
  show();
  return { bulk, boxes, show };
}
