/**
 * Calls `onWake` when a page has reason to look whether its connection still stands: the network is back, the page is
 * looked at again, or comes back from the browser's cache.
 *
 * @returns stops listening.
 */
export function listenForWakes(onWake: () => void): () => void {
  const onVisible = () => {
    if (document.visibilityState === "visible") onWake();
  };
  // A worker has no document and is not shown.
  const page = typeof document === "undefined" ? undefined : document;
  page?.addEventListener("visibilitychange", onVisible);
  globalThis.addEventListener?.("online", onWake);
  globalThis.addEventListener?.("pageshow", onWake);
  return () => {
    page?.removeEventListener("visibilitychange", onVisible);
    globalThis.removeEventListener?.("online", onWake);
    globalThis.removeEventListener?.("pageshow", onWake);
  };
}
