import type { RpcTransport } from "capnweb";

/**
 * One HTTP batch as a transport: what is called in one turn is posted at once by `post`, which is given the lines of the
 * request and resolves with those of the answer. As capnweb's own, which hides the gateway's coded refusal of a batch.
 */
export function makeBatchTransport(post: (lines: readonly string[]) => Promise<string[]>): RpcTransport {
  const lines: string[] = [];
  let isSent = false;
  const answer = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
    isSent = true;
    return post(lines);
  });
  // Heard by whoever waits for an answer; of a batch in which nobody does, by nobody.
  answer.catch(() => undefined);
  return {
    send(line) {
      if (!isSent) lines.push(line);
    },
    async receive() {
      const line = (await answer).shift();
      if (line === undefined) throw new Error("The batch has ended");
      return line;
    },
  };
}
