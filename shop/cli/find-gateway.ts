/** Long enough for a busy gateway on this machine, short enough not to be noticed when there is none. Milliseconds. */
const probeMsMax = 1_500;

/** Whether a gateway of ours answers at `url` and is ready. Never rejects: whatever else is there is no gateway. */
export async function isGateway(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(probeMsMax), redirect: "error" });
    const body: unknown = await response.json();
    return response.ok && typeof body === "object" && body !== null && "service" in body && body.service === "gateway";
  } catch {
    return false;
  }
}
