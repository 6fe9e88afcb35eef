/** Attributes of an element that is made; `text` is its text, `on…` are listeners. */
export interface Parts {
  [name: string]: string | number | boolean | undefined | ((event: Event) => void);
}

/** Makes an element. Nothing in it is ever read as HTML. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  parts: Parts = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(parts)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = String(value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** What stands before the addresses of the dashboard where a proxy serves it below a path. */
export function base(): string {
  return (document.documentElement.dataset["base"] ?? "").replace(/\/$/, "");
}

/** Reports whether keys typed into an element are its own. */
export function isField(element: Element | null): boolean {
  if (!(element instanceof HTMLElement)) return false;
  if (element instanceof HTMLInputElement) {
    return !["checkbox", "radio", "button", "submit", "reset", "image"].includes(element.type);
  }
  return element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement || element.isContentEditable;
}

/** Reads what the browser keeps for this site; it may refuse. */
export function remembered(key: string): string {
  try {
    return localStorage.getItem(`distro.${key}`) ?? "";
  } catch {
    return "";
  }
}

/** Keeps a small preference of the reader's in the browser, where it lets us. */
export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`distro.${key}`, value);
  } catch {
    // Private windows may refuse: then it holds for this page.
  }
}

const sheets = new Map<string, Promise<void>>();

/** Adds a style sheet that lies beside the scripts to a document or shadow root, and waits for it. */
export function sheet(path: string, root: Node = document.head): Promise<void> {
  const add = () =>
    new Promise<void>((resolve) => {
      const done = () => resolve();
      const href = new URL(path, import.meta.url).href;
      root.appendChild(make("link", { rel: "stylesheet", href, onload: done, onerror: done }));
    });
  if (root !== document.head) return add();
  let loading = sheets.get(path);
  if (!loading) sheets.set(path, (loading = add()));
  return loading;
}
