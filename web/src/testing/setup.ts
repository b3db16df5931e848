import { cleanup } from "@testing-library/react";
import { afterEach, beforeEach } from "vitest";

import { forgetAnswers } from "../api/useResource";

// jsdom has no scrolling, and knows `<dialog>` but not its methods.
window.scrollTo = () => undefined;
HTMLDialogElement.prototype.showModal = function showModal(this: HTMLDialogElement) {
  this.open = true;
};

beforeEach(() => {
  forgetAnswers();
  window.localStorage.clear();
  window.history.replaceState(null, "", "/");
});

afterEach(() => {
  cleanup();
});
