import { make } from "./dom";
import { text } from "./text";

const atOnce = 2;
const ask = '[data-suggest] button[name^="suggest"]';

/**
 * The options that functions offer for fields of a form: they are asked for when
 * the form is opened, and by a button, without what was entered being sent.
 */
export function offerOptions(): void {
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>(`${ask}, [data-suggest] button[name="pick"]`) : null;
    const box = button?.closest<HTMLElement>("[data-suggest]");
    if (!button || !box) return;
    event.preventDefault();
    if (button.name === "pick") return pick(box);
    box.setAttribute("aria-live", "polite"); // of what the reader asked for
    void load(box, button.name === "suggest-again");
  });
  const boxes = [...document.querySelectorAll<HTMLElement>("[data-suggest-load]")];
  const next = async (): Promise<void> => {
    for (let box = boxes.shift(); box; box = boxes.shift()) await load(box, false);
  };
  // A browser has few connections to a server, and the page needs some itself.
  for (let n = 0; n < atOnce; n++) void next();
}

async function load(box: HTMLElement, again: boolean): Promise<void> {
  if (box.ariaBusy === "true") return; // a second click asks for nothing more
  box.ariaBusy = "true";
  let inside: Node[] | undefined;
  try {
    const answer = await fetch(box.dataset["suggest"] + (again ? "?again=1" : ""), { method: "POST" });
    if (answer.ok && !answer.redirected) inside = [...new DOMParser().parseFromString(await answer.text(), "text/html").body.childNodes];
  } catch {
    // as an answer that is none
  }
  const focused = box.contains(document.activeElement);
  if (inside) box.replaceChildren(...inside);
  else if (!box.querySelector("[data-js-problem]")) box.prepend(make("p", { class: "problem", "data-js-problem": true, text: text("js.failed") }));
  box.ariaBusy = null;
  if (focused) box.querySelector<HTMLElement>(ask)?.focus();
}

/** Makes what is chosen a line of the field. */
function pick(box: HTMLElement): void {
  const chosen = box.querySelector("select");
  const field = box.closest(".field")?.querySelector("textarea");
  if (!chosen?.value || !field) return;
  field.value = field.value.replace(/\n*$/, (_, at: number) => (at ? "\n" : "")) + chosen.value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  chosen.value = "";
}
