import { isField } from "./dom";
import { refreshed } from "./page";
import { plural } from "./text";

/**
 * A list of jobs under the hands of who works with it: the box in its head selects
 * the page, shift a range, j and k go through rows, x selects, X up to here, and
 * the bar of actions (`[data-bulk]`) is there while something is selected.
 */
export class List extends HTMLElement {
  private anchor: HTMLTableRowElement | undefined;
  private at: HTMLTableRowElement | undefined;

  connectedCallback(): void {
    this.addEventListener("click", this.clicked);
    this.addEventListener("change", this.count);
    this.addEventListener("focusin", this.focused);
    document.addEventListener("keydown", this.typed);
    document.addEventListener(refreshed, this.count);
    addEventListener("pageshow", this.count); // browsers restore what was checked
    this.count();
  }

  disconnectedCallback(): void {
    this.removeEventListener("click", this.clicked);
    this.removeEventListener("change", this.count);
    this.removeEventListener("focusin", this.focused);
    document.removeEventListener("keydown", this.typed);
    document.removeEventListener(refreshed, this.count);
    removeEventListener("pageshow", this.count);
  }

  private rows(): HTMLTableRowElement[] {
    return [...this.querySelectorAll<HTMLTableRowElement>("tbody tr[data-job]")];
  }

  private box(row: HTMLTableRowElement | undefined): HTMLInputElement | undefined {
    return row?.querySelector<HTMLInputElement>("input[type=checkbox]") ?? undefined;
  }

  private head(): HTMLInputElement | undefined {
    return this.querySelector<HTMLInputElement>("thead input[type=checkbox]") ?? undefined;
  }

  private readonly clicked = (event: MouseEvent): void => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
    if (box === this.head()) {
      for (const row of this.rows()) this.set(row, box.checked);
      return;
    }
    const row = box.closest<HTMLTableRowElement>("tr[data-job]");
    if (!row) return;
    if (event.shiftKey) this.range(row, box.checked);
    this.anchor = row;
  };

  private set(row: HTMLTableRowElement, checked: boolean): void {
    const box = this.box(row);
    if (box && !box.disabled) box.checked = checked;
  }

  private range(to: HTMLTableRowElement, checked: boolean): void {
    const rows = this.rows();
    const ends = [rows.indexOf(this.anchor ?? to), rows.indexOf(to)].sort((a, b) => a - b);
    for (const row of rows.slice(Math.max(ends[0]!, 0), ends[1]! + 1)) this.set(row, checked);
  }

  /** Shows how many are selected; a page that is selected whole may offer all that match. */
  private readonly count = (): void => {
    const boxes = this.rows().flatMap((row) => this.box(row) ?? []);
    const n = boxes.filter((box) => box.checked).length;
    const head = this.head();
    if (head) {
      head.checked = n > 0 && n === boxes.length;
      head.indeterminate = n > 0 && n < boxes.length;
    }
    for (const row of this.rows()) row.toggleAttribute("data-js-selected", this.box(row)?.checked ?? false);
    const root = this.querySelector("[data-bulk]") ? this : document;
    for (const bar of root.querySelectorAll<HTMLElement>("[data-bulk]")) bar.hidden = n === 0;
    for (const line of root.querySelectorAll<HTMLElement>("[data-bulk-all]")) line.hidden = n === 0 || n < boxes.length;
    for (const place of root.querySelectorAll("[data-bulk-count]")) {
      const words = plural("js.selected", n);
      if (place.textContent !== words) place.textContent = words;
    }
  };

  private readonly focused = (event: FocusEvent): void => {
    this.go((event.target as Element).closest<HTMLTableRowElement>("tr[data-job]") ?? undefined);
  };

  private go(row: HTMLTableRowElement | undefined): void {
    if (row === this.at) return;
    this.at?.removeAttribute("data-js-current");
    row?.setAttribute("data-js-current", "");
    this.at = row;
  }

  private readonly typed = (event: KeyboardEvent): void => {
    if (!keysWork(event)) return;
    switch (event.key) {
      case "j":
        this.step(1);
        break;
      case "k":
        this.step(-1);
        break;
      case "x":
        this.select(false);
        break;
      case "X":
        this.select(true);
        break;
      default:
        return;
    }
    event.preventDefault();
  };

  private step(by: number): void {
    const rows = this.rows();
    const from = this.at?.isConnected ? rows.indexOf(this.at) : by > 0 ? -1 : rows.length;
    const row = rows[Math.min(Math.max(from + by, 0), rows.length - 1)];
    if (!row) return;
    const link = row.querySelector<HTMLElement>("a[href]") ?? this.box(row);
    link?.focus({ preventScroll: true }); // Enter opens what has the focus
    row.scrollIntoView({ block: "nearest" });
    this.go(row);
  }

  private select(range: boolean): void {
    const box = this.box(this.at);
    if (!box || !this.at) return;
    const checked = range || !box.checked;
    if (range) this.range(this.at, checked);
    else this.set(this.at, checked);
    this.anchor = this.at;
    this.count();
  }
}

/** Reports whether a key is meant for the page: no field has it, no dialog is open, the reader did not turn keys off. */
export function keysWork(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  if (document.documentElement.dataset["keys"] === "off") return false;
  return !isField(document.activeElement) && !document.querySelector("dialog[open]");
}
