/**
 * The one script of every page. Pages work without it; what it adds, it adds to
 * what the server has drawn. Elements that few pages have are files of their own.
 */
import { actOnSubmit } from "./act";
import { copyOnClick } from "./copy";
import { listenToKeys } from "./keys";
import { List } from "./list";
import { Live } from "./live";
import { offerOptions } from "./options";
import { refreshed, setUp } from "./page";
import { Query } from "./query";
import { keepTimes } from "./times";

const later: { [tag: string]: () => Promise<CustomElementConstructor> } = {
  "d-chart": async () => (await import("./chart")).Chart,
  "d-log": async () => (await import("./log")).Log,
};

/** Loads the elements that the page has, once. */
function load(): void {
  for (const [tag, element] of Object.entries(later)) {
    if (!document.querySelector(tag)) continue;
    delete later[tag];
    void element().then((constructor) => customElements.define(tag, constructor));
  }
}

document.documentElement.classList.add("js");
setUp();
actOnSubmit();
copyOnClick();
keepTimes();
listenToKeys();
offerOptions();
customElements.define("d-list", List);
customElements.define("d-query", Query);
customElements.define("d-live", Live);
document.addEventListener(refreshed, load);
load();
