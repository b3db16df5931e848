/** A link from a club carries its secret behind the `#`: no server, proxy, log, Referer or preview robot is sent that part. */
const PREFIX = "#link=";

/** The secret in the address of the page, if it has one. */
export function linkInAddress(): string | null {
  const { hash } = window.location;
  return hash.startsWith(PREFIX) && hash.length > PREFIX.length ? hash.slice(PREFIX.length) : null;
}

/** Takes it out of the address bar, so that nobody hands it on who only copies the page's address. */
export function clearLinkInAddress(): void {
  window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
}
