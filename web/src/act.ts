import { make } from "./dom";
import { type Answer, morph, visit } from "./page";
import { text } from "./text";

/**
 * Forms that act without the page being left: `<form method="post" data-act>`.
 * Where something goes wrong, the reader reads it beside the form.
 */
export function actOnSubmit(): void {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("form[data-act]") || event.defaultPrevented) return;
    event.preventDefault();
    const submitter = event.submitter;
    const question = document.getElementById(form.dataset["confirmDialog"] ?? "");
    if (question instanceof HTMLDialogElement) ask(question, () => void send(form, submitter));
    else void send(form, submitter);
  });
}

/** Opens a dialog, and goes on when it is closed by a button with a value other than "no". */
function ask(dialog: HTMLDialogElement, then: () => void): void {
  if (dialog.open) return;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => !["", "no", "cancel"].includes(dialog.returnValue) && then(), { once: true });
  dialog.showModal();
}

async function send(form: HTMLFormElement, submitter: HTMLElement | null): Promise<void> {
  if (form.dataset["jsBusy"]) return; // a second click is no second action
  form.dataset["jsBusy"] = "true";
  form.setAttribute("aria-busy", "true");
  complain(form, undefined);
  document.dispatchEvent(new Event("distro:acting"));
  let left = false;
  const arrived = (answer: Answer): boolean => {
    document.dispatchEvent(new Event("distro:acting"));
    const problem = answer.page.querySelector(".problem");
    if (answer.status >= 400) {
      complain(form, problem?.textContent?.trim() || text("js.failed"));
      return false;
    }
    if (!answer.page.getElementById("main")) {
      left = true;
      location.assign(answer.url);
      return false;
    }
    address(answer);
    return true;
  };
  const options = {
    source: form,
    event: { submitter },
    target: "#main",
    select: "#main",
    swap: "outerMorph",
  };
  const action = submitter?.getAttribute("formaction") || form.getAttribute("action") || location.href;
  const request = { lists: true, arrived, done: false };
  const done = await visit("POST", action, request, options);
  delete form.dataset["jsBusy"];
  form.removeAttribute("aria-busy");
  if (done) focus();
  else if (!left && !shown(form)) complain(form, text("js.failed"));
}

/** The address and the topics of events are those of the page that came. */
function address({ url, page, context }: Answer): void {
  const path = url.pathname + url.search + url.hash;
  if (url.pathname !== location.pathname) context.push = path;
  else if (url.search !== location.search) context.replace = path;
  const [nav, fresh] = [document, page].map((root) => root.querySelector("header nav"));
  if (nav && fresh) morph(nav, fresh); // it says which page this is
  const [live, next] = [document, page].map((root) => root.querySelector("d-live"));
  if (!live || !next) return;
  live.setAttribute("after", next.getAttribute("after") ?? "");
  live.setAttribute("topics", next.getAttribute("topics") ?? ""); // begins another stream where they differ
}

/** Focus goes where the new page wants it, else it stays, else it is not lost. */
function focus(): void {
  const wanted = document.querySelector<HTMLElement>("#main [data-focus]");
  if (!wanted && document.activeElement && document.activeElement !== document.body) return;
  const target = wanted ?? document.getElementById("main");
  if (!target) return;
  if (target.tabIndex < 0 && !target.hasAttribute("tabindex")) target.tabIndex = -1;
  target.focus({ preventScroll: !wanted });
}

function shown(form: HTMLFormElement): boolean {
  return form.nextElementSibling?.hasAttribute("data-js-problem") ?? false;
}

function complain(form: HTMLFormElement, words: string | undefined): void {
  if (shown(form)) form.nextElementSibling?.remove();
  if (words) form.after(make("p", { class: "problem", role: "alert", "data-js-problem": true, text: words }));
}
