/** SharePanel: links with which others follow the recording. They can be copied, and withdrawn one by one. */

import { RequestError, fetchShareLink, withdrawShareLink } from "./api.js";
import { formatClock } from "./time_format.js";
import { t } from "./text.js";
import { copyText } from "./transcript_tools.js";

export class SharePanel {
  #elements;
  #listener;
  #session = null;
  #count = 0; // links that were made for the session

  /**
   * elements: {button, list, template}; the listener has onCopied(), and onError(error) with a RequestError
   */
  constructor(elements, listener) {
    this.#elements = elements;
    this.#listener = listener;
    elements.button.addEventListener("click", () => void this.#share());
  }

  /** session: id of the session that is shared from now on; null for none. Links end with their session. */
  setSession(session) {
    if (session === this.#session) return;
    this.#session = session;
    this.#count = 0;
    this.#elements.list.replaceChildren();
    this.#elements.button.hidden = !session;
    this.#refresh();
  }

  /** Make a link, and copy it. */
  async #share() {
    const session = this.#session;
    await this.#try(async () => {
      const link = await fetchShareLink(session);
      if (session !== this.#session) return;
      this.#add(session, link);
      await copyText(link.url).then(
        () => this.#listener.onCopied(),
        () => prompt(t("shareCopy"), link.url),
      );
    });
  }

  #add(session, { id, expiresAt }) {
    this.#count += 1;
    const item = this.#elements.template.content.cloneNode(true).firstElementChild;
    const name = t("shareLink", { number: this.#count, time: formatClock(expiresAt) });
    item.querySelector(".name").textContent = name;
    const button = item.querySelector("button");
    button.textContent = t("withdraw");
    button.setAttribute("aria-label", `${t("withdraw")}: ${name}`);
    button.addEventListener("click", () => void this.#withdraw(session, id, item));
    this.#elements.list.append(item);
    this.#refresh();
  }

  async #withdraw(session, id, item) {
    await this.#try(async () => {
      await withdrawShareLink(session, id);
      const hadFocus = item.contains(document.activeElement);
      item.remove();
      this.#refresh();
      if (hadFocus) this.#elements.button.focus();
    });
  }

  #refresh() {
    this.#elements.list.hidden = this.#elements.list.childElementCount === 0;
  }

  async #try(action) {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.#listener.onError(error);
    }
  }
}
