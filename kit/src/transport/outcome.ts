import { overloadedReason } from "../base/turns.ts";

/** Whether `["reject", id, ["error", code, text, null, fields]]`, as redact.ts writes it, is a refusal for overload. */
export function isOverloaded(message: readonly unknown[]): boolean {
  const reason = message[2];
  if (message[0] !== "reject" || !Array.isArray(reason) || reason[1] !== "resource_exhausted") return false;
  const fields: unknown = reason[4];
  return typeof fields === "object" && fields !== null && "reason" in fields && fields.reason === overloadedReason;
}

export function isAbort(message: unknown): boolean {
  return Array.isArray(message) && message[0] === "abort";
}
