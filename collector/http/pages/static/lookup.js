// @ts-check
/** The slider of the looking glass: the routes of the moment that it stands at, without a new page. */

import { replaceParts, say } from "./page.js";

const REST = 200; // milliseconds that the slider stands still before the archive is asked

const form = /** @type {HTMLFormElement} */ (document.querySelector("#asked"));
const slider = /** @type {HTMLInputElement | null} */ (document.querySelector(".slider input"));
const field = /** @type {HTMLInputElement} */ (form.elements.namedItem("at"));
let resting = 0;
/** @type {AbortController | null} */
let asking = null;

/** Show what the form asks for. */
async function show() {
  asking?.abort();
  asking = new AbortController();
  const given = [...new FormData(form)].filter(([, value]) => value !== "");
  const href = `${location.pathname}?${new URLSearchParams(/** @type {[string, string][]} */ (given))}`;
  say("Asking the archive …");
  try {
    await replaceParts(href, ["of-prefix", "notes", "routes"], asking.signal);
    history.replaceState(null, "", href);
    say("");
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) {
      say(error instanceof Error ? error.message : String(error));
    }
  }
}

if (slider) {
  slider.closest("label")?.removeAttribute("hidden");
  slider.addEventListener("input", () => {
    field.value = new Date(Number(slider.value) * 1000).toISOString();
    clearTimeout(resting);
    resting = window.setTimeout(show, REST);
  });
}
