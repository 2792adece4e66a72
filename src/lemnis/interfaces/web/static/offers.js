// What may be written next, below a field: chosen by arrows, taken by Enter, Tab or a pointer.
export function offering(field, list, taken) {
  let start = 0; // where what is taken begins; it ends at the cursor
  let chosen = -1;
  const options = () => [...list.querySelectorAll("[role=option]")];
  const said = (option) => option.dataset.text;

  function show(open) {
    list.hidden = !open;
    if (field.hasAttribute("aria-expanded")) field.setAttribute("aria-expanded", String(open));
  }
  function none() {
    chosen = -1;
    field.removeAttribute("aria-activedescendant");
  }
  function close() {
    show(false);
    none();
  }
  function choose(n) {
    const known = options();
    chosen = (n + known.length) % known.length;
    for (const [place, one] of known.entries()) one.setAttribute("aria-selected", String(place === chosen));
    known[chosen].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", known[chosen].id);
  }
  function take(text) {
    field.setRangeText(text, start, field.selectionStart, "end");
    close();
    taken?.();
  }
  function option({ text, kind }, n) {
    const made = document.createElement("div");
    made.id = `offer-${n}`;
    made.role = "option";
    made.ariaSelected = "false";
    made.dataset.text = text;
    const [what, about] = [document.createElement("span"), document.createElement("span")];
    what.textContent = text;
    about.className = "faint";
    about.textContent = kind;
    made.append(what, about);
    made.addEventListener("pointerdown", (event) => { event.preventDefault(); take(text); });
    return made;
  }
  // What does not have what was written since goes at once: the list that is shown may be of a letter ago.
  function narrow() {
    if (list.hidden) return;
    const typed = field.value.slice(start, field.selectionStart).toLowerCase();
    const before = chosen < 0 ? null : options()[chosen];
    for (const one of options()) if (!said(one).toLowerCase().includes(typed)) one.remove();
    none();
    if (before?.isConnected) choose(options().indexOf(before));
    show(options().length > 0);
  }
  field.addEventListener("pointerdown", close);
  field.addEventListener("input", narrow);
  return {
    close,
    // An answer that comes after something was chosen leaves it chosen, if it still has it.
    offer(offers, from) {
      const before = chosen < 0 ? null : said(options()[chosen]);
      start = from;
      list.replaceChildren(...offers.map(option));
      none();
      show(offers.length > 0);
      const kept = options().findIndex((one) => said(one) === before);
      if (kept >= 0) choose(kept);
    },
    // Whether a key was for the list.
    key({ key }) {
      if (list.hidden) return false;
      if (key === "ArrowDown") choose(chosen + 1);
      else if (key === "ArrowUp") choose(chosen < 0 ? -1 : chosen - 1);
      else if (key === "Escape") close();
      else if ((key === "Enter" || key === "Tab") && chosen >= 0) take(said(options()[chosen]));
      else {
        if (/^(Arrow|Home|End|Page)/.test(key)) close();
        return false;
      }
      return true;
    },
  };
}
