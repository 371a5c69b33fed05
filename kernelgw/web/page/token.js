/** The access token: comes once in the address, lives as long as the tab, or is asked for. */

import { byId } from "./dom.js";

const KEY = "kernelgw.token";

/** Takes it out of the address bar, and with that out of history, screenshots and shared links. */
export function takeTokenFromAddress() {
  const url = new URL(location.href);
  const token = url.searchParams.get("token");
  if (token === null) return;
  if (token !== "") sessionStorage.setItem(KEY, token);
  url.searchParams.delete("token");
  history.replaceState(history.state, "", url);
}

export const currentToken = () => sessionStorage.getItem(KEY);

/** @type {Promise<void> | null} */
let asking = null;

/** Shows the form; calls that fail at the same time share it. @param {boolean} refused @returns {Promise<void>} */
export function askForToken(refused) {
  asking ??= ask(refused).finally(() => (asking = null));
  return asking;
}

/** @param {boolean} refused */
function ask(refused) {
  const dialog = byId("token-dialog", HTMLDialogElement);
  const form = byId("token-form", HTMLFormElement);
  const field = byId("token-field", HTMLInputElement);
  byId("token-refused", HTMLElement).hidden = !refused;
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      form.onsubmit = (event) => {
        event.preventDefault();
        sessionStorage.setItem(KEY, field.value.trim());
        field.value = "";
        dialog.close();
        resolve();
      };
    })
  );
}
