import { base } from "./dom";
import { keysWork } from "./list";
import { toggleTimes } from "./times";

const patience = 1500;

/**
 * The keys of the whole page. An element with `data-key` is clicked by its key,
 * or by its keys one after the other ("g h"; `data-go="h"` is the same), so that a key can do nothing that
 * is not on the page.
 */
export function listenToKeys(): void {
  let first = "";
  let timer: number | undefined;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      if (command()) event.preventDefault();
      return;
    }
    if (!keysWork(event)) return;
    const keys = first ? `${first} ${event.key}` : event.key;
    clearTimeout(timer);
    first = "";
    if (press(keys) || special(event.key)) {
      event.preventDefault();
    } else if (event.key === "g" || document.querySelector(`[data-key^="${CSS.escape(event.key)} "]`)) {
      first = event.key;
      timer = window.setTimeout(() => (first = ""), patience);
    }
  });
  const box = document.getElementById("command");
  if (box instanceof HTMLDialogElement) commandBox(box);
}

function press(keys: string): boolean {
  const go = keys.startsWith("g ") ? `, [data-go="${CSS.escape(keys.slice(2))}"]` : "";
  for (const element of document.querySelectorAll<HTMLElement>(`[data-key="${CSS.escape(keys)}"]${go}`)) {
    if (!element.checkVisibility() || element.matches(":disabled")) continue;
    element.click();
    return true;
  }
  return false;
}

function special(key: string): boolean {
  switch (key) {
    case "?":
      return show("help");
    case "/": {
      const field = document.querySelector<HTMLInputElement>("d-log input[type=search], d-query input[name=q], [data-search]");
      field?.focus();
      field?.select();
      return field !== null;
    }
    case "t":
      toggleTimes();
      return true;
    default:
      return false;
  }
}

function show(id: string): boolean {
  const dialog = document.getElementById(id);
  if (!(dialog instanceof HTMLDialogElement)) return false;
  if (!dialog.open) dialog.showModal();
  return true;
}

function command(): boolean {
  const other = document.querySelector("dialog[open]:not(#command)");
  if (other || document.documentElement.dataset["keys"] === "off" || !show("command")) return false;
  const input = document.querySelector<HTMLInputElement>("#command input");
  input?.focus();
  input?.select();
  return true;
}

/** The command box: typing leaves the links that match, and what is no link's name is the ID of a job. */
function commandBox(dialog: HTMLDialogElement): void {
  const input = dialog.querySelector("input");
  if (!input) return;
  const fold = (words: string) => words.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const links = () => [...dialog.querySelectorAll<HTMLAnchorElement>("a[href]")];
  const shown = () => links().filter((link) => !(link.closest<HTMLElement>("li") ?? link).hidden);
  const filter = () => {
    const words = fold(input.value).split(/\s+/).filter(Boolean);
    for (const link of links()) {
      const name = fold(link.textContent ?? "");
      (link.closest<HTMLElement>("li") ?? link).hidden = !words.every((word) => name.includes(word));
    }
  };
  const open = () => {
    const id = input.value.trim();
    const match = shown()[0];
    if (match) match.click();
    else if (id) location.assign(`${base()}/jobs/${encodeURIComponent(id)}`);
  };
  dialog.addEventListener("keydown", (event) => {
    const all = shown();
    const at = all.indexOf(document.activeElement as HTMLAnchorElement);
    if (event.key === "ArrowDown") all[Math.min(at + 1, all.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (at > 0 ? all[at - 1] : input)?.focus();
    else if (event.key === "Enter" && event.target === input) open();
    else return;
    event.preventDefault();
  });
  input.addEventListener("input", filter);
  dialog.addEventListener("close", () => {
    input.value = "";
    filter();
  });
  // Without scripts its form searches; with them Enter is handled above.
  dialog.addEventListener("click", (event) => {
    if ((event.target as Element).closest("a[href]")) dialog.close();
  });
}
