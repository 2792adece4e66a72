// Times: the server writes UTC, which stays in the title; here they are shown in the viewer's zone.
const FORMS = {
  short: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  long: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  day: { year: "numeric", month: "short", day: "numeric" },
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
};
const formats = Object.fromEntries(
  Object.entries(FORMS).map(([name, form]) => [name, new Intl.DateTimeFormat("en-GB", form)]),
);

export function localise(within = document) {
  for (const time of within.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.textContent = (formats[time.dataset.form] ?? formats.short).format(at);
    time.dataset.local = "";
  }
}

// What the server has no place for at the moment is asked for again when it says.
const TRIES = 15;
async function patiently(address) {
  for (let left = TRIES; ; left--) {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (answer.status !== 429 || !left) return answer;
    await new Promise((done) => { setTimeout(done, 1000 * Number(answer.headers.get("retry-after")) || 2000); });
  }
}

// A part of a page that takes a while is asked for once the page is there.
export async function load(part, address) {
  part.setAttribute("aria-busy", "true");
  try {
    const answer = await patiently(address);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok) throw new Error(fresh.querySelector("[role=alert]")?.textContent.trim() ?? answer.statusText);
    part.replaceChildren(...fresh.body.childNodes);
    localise(part);
  } catch (error) {
    const told = document.createElement("p");
    told.className = "soft";
    told.textContent = `This could not be loaded: ${error.message}`;
    part.replaceChildren(told);
  } finally {
    part.removeAttribute("aria-busy");
  }
}
