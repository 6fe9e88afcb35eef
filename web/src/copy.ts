import { make } from "./dom";
import { text } from "./text";

/** Buttons `[data-copy="text"]` copy; for two seconds they say that they did. */
export function copyOnClick(): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element | null)?.closest<HTMLElement>("[data-copy]");
    if (!button || button.dataset["jsSaid"] !== undefined) return;
    void copy(button.dataset["copy"] ?? "").then((done) => {
      const before = button.textContent ?? "";
      const plain = button.childElementCount === 0;
      button.dataset["jsSaid"] = "";
      button.setAttribute("aria-live", "polite");
      if (plain) button.textContent = text(done ? "js.copied" : "js.notcopied");
      setTimeout(() => {
        delete button.dataset["jsSaid"];
        if (plain) button.textContent = before;
      }, 2000);
    });
  });
}

/** Browsers have a clipboard for HTTPS and this machine only; elsewhere a selection must do. */
async function copy(what: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(what);
    return true;
  } catch {
    const area = make("textarea", { class: "d-copy", readonly: true });
    area.value = what;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
