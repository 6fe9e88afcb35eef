import { make } from "./dom";
import { type Suggestion, fieldsOf, suggest } from "./suggest";
import { text } from "./text";

/**
 * The search box: a combobox that suggests fields and values of the search
 * language. Its field stays an ordinary one in an ordinary form.
 */
export class Query extends HTMLElement {
  private input: HTMLInputElement | undefined;
  private readonly list = make("ul", { class: "suggestions", role: "listbox", hidden: true, "aria-label": text("js.suggestions") });
  private fields = fieldsOf(undefined);
  private offered: Suggestion[] = [];
  private at = -1;

  connectedCallback(): void {
    const input = this.querySelector<HTMLInputElement>("input[name=q]");
    if (!input || this.input) return;
    this.input = input;
    this.fields = fieldsOf(this.dataset["help"]);
    this.list.id = `${input.id || "q"}-list`;
    input.after(this.list);
    const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.list.id, autocomplete: "off", spellcheck: "false" };
    for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);
    input.addEventListener("input", () => this.offer());
    input.addEventListener("keydown", (event) => this.typed(event));
    input.addEventListener("blur", () => this.close());
    // The field keeps the focus while the pointer chooses.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const item = (event.target as Element).closest("li");
      if (item) this.take([...this.list.children].indexOf(item));
    });
    this.mark();
  }

  private offer(): void {
    const input = this.input!;
    this.offered = suggest(input.value, input.selectionStart ?? 0, this.fields);
    this.list.replaceChildren(
      ...this.offered.map(({ label, help }, i) =>
        make("li", { role: "option", id: `${this.list.id}-${i}`, "aria-selected": "false" }, make("b", { text: label }), ...(help ? [make("small", { text: help })] : [])),
      ),
    );
    this.list.hidden = this.offered.length === 0;
    input.setAttribute("aria-expanded", String(!this.list.hidden));
    this.choose(-1);
  }

  private choose(at: number): void {
    this.at = at;
    [...this.list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === at)));
    const item = this.list.children[at];
    if (item) this.input!.setAttribute("aria-activedescendant", item.id);
    else this.input!.removeAttribute("aria-activedescendant");
    item?.scrollIntoView({ block: "nearest" });
  }

  private close(): void {
    this.list.hidden = true;
    this.input!.setAttribute("aria-expanded", "false");
    this.choose(-1);
  }

  private typed(event: KeyboardEvent): void {
    const n = this.offered.length;
    const open = !this.list.hidden;
    if (event.isComposing) return;
    if (event.key === "ArrowDown" && !open) this.offer();
    else if (event.key === "ArrowDown") this.choose((this.at + 1) % n);
    else if (event.key === "ArrowUp" && open) this.choose(this.at <= 0 ? n - 1 : this.at - 1);
    else if (event.key === "Escape" && open) this.close();
    else if ((event.key === "Enter" || event.key === "Tab") && open && this.at >= 0) this.take(this.at);
    else return;
    event.preventDefault();
  }

  private take(at: number): void {
    const input = this.input!;
    const { from, to, insert } = this.offered[at]!;
    input.setRangeText(insert, from, to, "end");
    input.focus();
    this.offer();
  }

  /** Shows where the search is wrong, by the column that the server names (`data-error`, from 1). */
  private mark(): void {
    const column = Number(this.dataset["error"]);
    const input = this.input!;
    if (!(column > 0)) return;
    input.setAttribute("aria-invalid", "true");
    const points = [...input.value]; // the server counts characters
    const before = points.slice(0, column - 1).join("");
    const rest = points.slice(column - 1).join("");
    const wrong = /^\S+/.exec(rest)?.[0] ?? "\u00a0";
    const line = make("div", { class: "d-query-mark", "aria-hidden": "true" }, before, make("mark", { text: wrong }), rest.slice(wrong.length));
    input.form?.append(line);
    input.setSelectionRange(before.length, before.length + wrong.length);
    input.addEventListener("input", () => (line.remove(), input.removeAttribute("aria-invalid")), { once: true });
  }
}
