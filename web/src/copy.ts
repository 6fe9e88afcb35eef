import { make } from "./dom";
import { refreshed } from "./page";
import { text } from "./text";

/** Buttons `[data-copy="text"]` copy; for two seconds they say that they did. */
export function copyOnClick(): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element | null)?.closest<HTMLElement>("[data-copy]");
    if (!button || button.dataset["jsSaid"] !== undefined) return;
    void copy(button.dataset["copy"] ?? "").then((done) => {
      const place = button.querySelector(".sr") ?? (button.childElementCount === 0 ? button : undefined);
      const before = place?.textContent ?? "";
      const title = button.title;
      const words = text(done ? "js.copied" : "js.notcopied");
      button.dataset["jsSaid"] = String(done);
      button.setAttribute("aria-live", "polite");
      button.title = words;
      if (place) place.textContent = words;
      setTimeout(() => {
        delete button.dataset["jsSaid"];
        button.title = title;
        if (place) place.textContent = before;
      }, 2000);
    });
  });
  const show = () => document.querySelectorAll<HTMLElement>("[data-copy][hidden]").forEach((button) => (button.hidden = false));
  document.addEventListener(refreshed, show);
  show();
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
