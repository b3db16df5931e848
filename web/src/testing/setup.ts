import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeEach } from "vitest";

import { forgetAnswers } from "../api/useResource";

// jsdom has no scrolling, and knows `<dialog>` but not its methods.
window.scrollTo = () => undefined;
HTMLDialogElement.prototype.showModal = function showModal(this: HTMLDialogElement) {
  this.open = true;
};

// A machine that builds something else at the same time is slow: what is waited for comes, only later.
configure({ asyncUtilTimeout: 10_000 });

beforeEach(() => {
  forgetAnswers();
  window.localStorage.clear();
  window.history.replaceState(null, "", "/");
});

afterEach(() => {
  cleanup();
});
