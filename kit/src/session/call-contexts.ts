import { type CallContext, currentContext, outsideContext } from "../base/context.ts";
import { carryContext } from "../transport/envelope.ts";
import type { Transport } from "../transport/transport.ts";

/**
 * capnweb makes what it answers when the caller pulls, which is a message of its own, and so outside the call. Here a
 * pull runs in the context of its call: an error that capnweb itself makes, or that stands in a result, has the
 * `requestId` of the call like one that the boundary made.
 */
export function answerInContext(transport: Transport): Transport {
  /** capnweb numbers calls by counting them. */
  let nextId = 1;
  /** Of the calls that nobody has pulled or released; the transport bounds how many those are. */
  const contexts = new Map<number, CallContext>();

  return { ...transport, receive: async () => follow((await transport.receive()) as [string, number]) };

  function follow(message: [string, number]): unknown {
    const { operation, context } = read(message);
    if (operation === "push") {
      if (context) contexts.set(nextId, context);
      nextId += 1;
      return message;
    }
    if (operation !== "pull" && operation !== "release") return message;
    const [, id] = message;
    const known = contexts.get(id);
    contexts.delete(id);
    return operation === "pull" && known ? carryContext(message, known) : message;
  }
}

/** A call sets its context when its operation is read (see `carryContext`). */
function read(message: [string, number]): { operation: string; context: CallContext | undefined } {
  return outsideContext(() => ({ operation: message[0], context: currentContext() }));
}
